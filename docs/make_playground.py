"""Draw docs/playground.png: the page of nnc.playground after 60 epochs, in Debian's chromium.

Needs `pip install '.[browser,notebooks]'`, then `python docs/make_playground.py`.
"""

import io
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

import nnc

CHROMIUM = "/usr/bin/chromium"
EPOCHS = 60


def main() -> None:
    """Write playground.png next to this script."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "page.html"
        nnc.playground().save(path)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.goto(path.as_uri())
        page.wait_for_selector("#play:not([disabled])")
        for _ in range(EPOCHS):
            page.click("#step")
        page.mouse.click(2, 2)  # so that nothing is in focus
        picture = Image.open(io.BytesIO(page.screenshot(full_page=True)))
        browser.close()
    picture.convert("RGB").quantize(128).save(
        Path(__file__).with_name("playground.png"), optimize=True
    )


if __name__ == "__main__":
    main()
