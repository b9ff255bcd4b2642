"""Make tables and a chart of what run.py measured.

    python benchmarks/report.py results.json [more.json …]
    python benchmarks/report.py results.json --page docs/benchmarks.md --chart docs/benchmarks.svg

Prints Markdown, or puts it between the page's two `results` comments. Where a measurement was
repeated, the last one counts.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from pathlib import Path
from typing import Any

import chart
import workloads

Record = dict[str, Any]
Key = tuple[str, str, int]

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
HEAD = "| peer | {unit} | ÷ nnc | spread | cores | import s | compile s | total s | peak MB |"
RULE = "|---|---:|---:|---:|---:|---:|---:|---:|---:|"


def read(paths: list[Path]) -> tuple[list[Record], list[Record]]:
    """Return the machines' lines and the measurements' lines."""
    lines = [json.loads(x) for path in paths for x in path.read_text("utf-8").splitlines()]
    return [x for x in lines if "machine" in x], [x for x in lines if "workload" in x]


def tables(records: list[Record]) -> dict[Key, dict[str, Record]]:
    """Return the last record of each peer, by workload, dtype and threads."""
    found: dict[Key, dict[str, Record]] = {}
    for record in records:
        if "peer" in record:
            key = (record["workload"], record["dtype"], record["threads"])
            found.setdefault(key, {})[record["peer"]] = record
    order = [workload.name for workload in workloads.ALL]
    return dict(sorted(found.items(), key=lambda item: (order.index(item[0][0]), item[0][1:])))


def unit_time(record: Record) -> float:
    """Return the median time of one unit, in the unit's scale."""
    (workload,) = workloads.named([record["workload"]])
    return float(record["median_s"] / record["epochs"] * workload.scale)


def ratios(peers: dict[str, Record]) -> dict[str, float]:
    """Return each peer's time over nnc's; nothing where nnc has none."""
    times = {name: unit_time(record) for name, record in peers.items() if record["status"] == "ok"}
    return {name: time / times["nnc"] for name, time in times.items()} if "nnc" in times else {}


def row(name: str, record: Record, ratio: float | None) -> str:
    """Return a table's row."""
    spread = max(record["seconds"]) / min(record["seconds"])
    cells = [
        f"**{name}**" if name == "nnc" else name,
        f"{unit_time(record):.3g}" if unit_time(record) < 1000 else f"{unit_time(record):.0f}",
        "–" if ratio is None else f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}",
        f"{spread:.2f}",
        f"{record['cores']:.1f}",
        f"{record['import_s']:.2f}",
        f"{record['compile_s']:.2f}",
        f"{record['total_s']:.2f}",
        f"{record['peak_mb']:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def table(key: Key, peers: dict[str, Record]) -> str:
    """Return a section: a table, fastest first, and what is missing from it."""
    (workload,) = workloads.named([key[0]])
    some = next(iter(peers.values()))
    rows = f" ({some['rows']} rows)" if workload.rows else ""
    threads = "1 thread" if key[2] == 1 else f"{key[2]} threads"
    lines = [f"### {key[0]}: {workload.title}{rows}, {key[1]}, {threads}", ""]
    good = sorted((r for r in peers.values() if r["status"] == "ok"), key=unit_time)
    if good:
        by_ratio = ratios(peers)
        lines += [HEAD.format(unit=workload.unit), RULE]
        lines += [row(r["peer"], r, by_ratio.get(r["peer"])) for r in good]
        lines.append("")
    notes = [f"{r['peer']}: {r['note']}" for r in good if r["note"]]
    if notes:
        lines += [f"Differences: {'; '.join(notes)}.", ""]
    missing = [f"{n}: {r['status']} ({r['reason']})" for n, r in peers.items() if r not in good]
    if missing:
        lines += [f"Without a time: {'; '.join(missing)}.", ""]
    return "\n".join(lines)


def versions(records: list[Record]) -> str:
    """Return a sentence of versions."""
    found = {record["peer"]: record["version"] for record in records if "version" in record}
    return "Versions: " + ", ".join(f"{peer} {text}" for peer, text in found.items()) + "."


def markdown(machines: list[Record], records: list[Record]) -> str:
    """Return all tables, with the machine before them."""
    parts = []
    for machine in {
        json.dumps(m["machine"] | {"load": 0}): m["machine"] for m in machines
    }.values():
        parts.append(
            f"Machine: {machine['cpu']}, {machine['cores']} cores, {machine['system']}, "
            f"Python {machine['python']}; load {machine['load']:.1f} at the start."
        )
    parts += [versions(records), ""]
    parts += [table(key, peers) for key, peers in tables(records).items()]
    unmeasured = {r["workload"]: r["reason"] for r in records if "peer" not in r}
    parts += [f"{name}: not measured, {reason}." for name, reason in unmeasured.items()]
    return "\n".join(parts).rstrip() + "\n"


def fill(page: Path, text: str) -> None:
    """Replace what lies between the page's two comments."""
    old = page.read_text("utf-8")
    if not (BEGIN in old and END in old):
        raise SystemExit(f"{page} lacks the lines {BEGIN} and {END}")
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    page.write_text(pattern.sub(lambda _: f"{BEGIN}\n{text}{END}", old), "utf-8")


def main() -> None:
    """Read, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--page", type=Path, help="put the tables into this file")
    parser.add_argument("--chart", type=Path, help="write an SVG of the ratios here")
    parser.add_argument("--threads", type=int, default=1, help="of the chart; default 1")
    options = parser.parse_args()
    machines, records = read(options.results)
    text = markdown(machines, records)
    if options.page and options.chart:
        path = os.path.relpath(options.chart, options.page.parent)
        text = f"![Time of each library relative to nnc]({path})\n\n{text}"
    if options.page:
        fill(options.page, text)
    else:
        print(text)
    if options.chart:
        panels = {}
        for (name, dtype, threads), peers in tables(records).items():
            (workload,) = workloads.named([name])
            by_ratio = ratios(peers)
            if threads == options.threads and dtype == workload.dtypes[0] and len(by_ratio) > 1:
                panels[f"{name}  {workload.title}"] = by_ratio
        if not panels:
            raise SystemExit("no chart: no workload has a time of nnc and of another peer")
        options.chart.write_text(chart.svg(panels, options.threads), "utf-8")


if __name__ == "__main__":
    main()
