"""The drawing and the table: well-formed, bounded, readable, the same each time."""

import itertools
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from support import least_difference

from nnc import drawing, layers
from nnc.drawing import network_svg, summary_table
from nnc.layers import BatchNorm, Dense, Dropout, LayerNorm, compile_layers

SVG = "{http://www.w3.org/2000/svg}"
MIXED = [
    Dropout(0.1), Dense(128, "relu"), BatchNorm(), Dropout(0.5, name='<b> & "q"'),
    Dense(64, "hard_sigmoid", name="a]]>b"), LayerNorm(), Dense(10, "softmax"),
]  # fmt: skip
NETS = {
    "moons": (layers.from_sizes((2, 25, 50, 50, 25, 1), "relu", "sigmoid")),
    "digits": (layers.from_sizes((64, 128, 10), "relu", "softmax")),
    "small": (layers.from_sizes((3, 4, 1), "tanh")),
    "least": (layers.from_sizes((1, 1))),
    "mixed": (MIXED, 784),
    "deep": (layers.from_sizes((4, *[16] * 40, 3), "hard_sigmoid", "log_softmax")),
    "deep and mixed": ([Dense(9, "relu"), BatchNorm(), Dropout(0.2)] * 30 + [Dense(2)], 20),
    "wide": (layers.from_sizes((12345678, 10000000, 10))),
    "one unit with a bar": ([LayerNorm(), Dense(1)], 1),
}


def parameters(specs, seed=0):
    values = {name: np.empty(shape) for s in specs for name, shape in s.parameters.items()}
    layers.initialize(values, specs, seed)
    return values


def draw(name, **options):
    net, input_dim = NETS[name]
    return network_svg(compile_layers(net, input_dim), input_dim, **options)


def columns(root):
    """The groups of circles, bars or dots, from left to right."""
    return root.findall(f"{SVG}g")


def circles(group):
    return [c for c in group.findall(f"{SVG}circle") if c.get("class") != "dot"]


def texts(group):
    return [text.text for text in group.findall(f"{SVG}text")]


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("dark", [None, False, True])
def test_drawings_are_well_formed_and_bounded(name, dark):
    text = draw(name, dark=dark)
    root = ET.fromstring(text)
    width, height = float(root.get("width")), float(root.get("height"))
    assert root.get("viewBox") == f"0 0 {width:g} {height:g}"
    assert width <= 720
    assert height <= 400
    assert len(text) < 40_000
    assert text == draw(name, dark=dark)
    for group in columns(root):
        assert len(circles(group)) <= 8
        for circle in group.findall(f"{SVG}circle"):
            assert 8 <= float(circle.get("cx")) <= width - 8
            assert 8 <= float(circle.get("cy")) <= height - 8
        for bar in group.findall(f"{SVG}rect"):
            assert float(bar.get("y")) >= 8
            assert float(bar.get("y")) + float(bar.get("height")) <= height - 40
    for path in root.findall(f"{SVG}path"):
        numbers = [float(n) for n in re.findall(r"[0-9.]+", path.get("d"))]
        assert all(0 <= n <= 720 for n in numbers)


@pytest.mark.parametrize("name", NETS)
def test_labels_do_not_meet(name):
    """A letter of the font is at most about 7 pixels wide; a figure of the bold one, 8.5."""
    root = ET.fromstring(draw(name))
    rows = {}
    for text in root.iter(f"{SVG}text"):
        if text.get("x"):
            size = (8.5 if text.get("class") == "ink" else 6.4) * len(text.text)
            rows.setdefault(text.get("y"), []).append((float(text.get("x")), size))
    for row in rows.values():
        for (x, size), (next_x, next_size) in itertools.pairwise(row):
            assert x + size / 2 <= next_x - next_size / 2
        assert row[0][0] - row[0][1] / 2 >= 0
        assert row[-1][0] + row[-1][1] / 2 <= float(root.get("width"))


def test_what_is_drawn():
    groups = columns(ET.fromstring(draw("moons")))
    assert [len(circles(group)) for group in groups] == [2, 8, 8, 8, 8, 1]
    assert [texts(group) for group in groups] == [
        ["input", "2"], ["25", "relu"], ["50", "relu"], ["50", "relu"], ["25", "relu"],
        ["output", "1", "sigmoid"],
    ]  # fmt: skip
    dots = [len(group.findall(f"{SVG}circle")) - len(circles(group)) for group in groups]
    assert dots == [0, 3, 3, 3, 3, 0]
    assert groups[1].find(f"{SVG}title").text == "25 units, relu; W1, b1: 75"
    groups = columns(ET.fromstring(draw("mixed")))
    assert [texts(group) for group in groups] == [
        ["input", "784"], ["dropout 0.1"], ["128", "relu"], ["batch norm"], ['<b> & "q"'],
        ["a]]>b", "64", "hard_sigmoid"], ["layer norm"], ["output", "10", "softmax"],
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["small", "moons"])
def test_lines_join_all_units_shown(name):
    root = ET.fromstring(draw(name))
    shown = [[(float(c.get("cx")), float(c.get("cy"))) for c in circles(g)] for g in columns(root)]
    paths = root.findall(f"{SVG}path")
    assert len(paths) == len(shown) - 1
    for path, before, after in zip(paths, shown[:-1], shown[1:], strict=True):
        lines = re.findall(r"M(\S+) (\S+)L(\S+) (\S+?)(?=M|$)", path.get("d"))
        expected = {(x + 8, y, z - 8, w) for x, y in before for z, w in after}
        assert {tuple(map(float, line)) for line in lines} == expected


def test_layers_left_out_are_counted():
    root = ET.fromstring(draw("deep"))
    groups = columns(root)
    gap = next(group for group in groups if not circles(group))
    count, words = texts(gap)
    assert int(count) + len(groups) - 2 == 41
    assert words == "more layers"
    assert texts(groups[0])[0] == "input"
    assert texts(groups[-1])[0] == "output"


def test_weights_give_colour_and_width():
    specs = compile_layers([Dense(2, bias=False)], 2)
    root = ET.fromstring(network_svg(specs, 2, weights={"W1": [[4, -2], [0, np.nan]]}))
    paths = [p for p in root.findall(f"{SVG}path") if p.get("stroke-opacity")]
    assert [p.get("class") for p in paths] == ["positive", "positive", "negative", "positive"]
    widths = [float(p.get("stroke-width")) for p in paths]
    assert widths == [0.4, 0.4, 1.6, 2.8]
    (x0, y0), (x1, y1) = [(float(c.get("cx")), float(c.get("cy"))) for g in columns(root)
                          for c in circles(g)][1:3]  # fmt: skip
    assert paths[2].get("d") == f"M{x0 + 8:g} {y0:g}L{x1 - 8:g} {y1:g}"  # input 2 to unit 1
    assert [t.text for t in root.findall(f"{SVG}text")] == ["positive", "negative"]


@pytest.mark.parametrize("name", ["digits", "mixed", "deep"])
def test_weights_of_all_networks(name):
    net, input_dim = NETS[name]
    specs = compile_layers(net, input_dim)
    ET.fromstring(network_svg(specs, input_dim, weights=parameters(specs)))
    zeros = {key: 0 * value for key, value in parameters(specs).items()}
    ET.fromstring(network_svg(specs, input_dim, weights=zeros))


def test_bad_weights():
    specs = compile_layers([Dense(2)], 3)
    with pytest.raises(ValueError, match="weights: missing W1; pass the parameters"):
        network_svg(specs, 3, weights={"b1": np.zeros((2, 1))})
    with pytest.raises(ValueError, match=r"weights\['W1'\]: expected shape \(2, 3\), got \(3, 2\)"):
        network_svg(specs, 3, weights={"W1": np.zeros((3, 2))})


@pytest.mark.parametrize(
    "name", ["</title><script>x</script>", "𝒲 ñ", "x" * 1000, "&amp;", "'\"]]>"]
)
def test_names_are_escaped_and_short(name):
    net = [Dropout(0.5, name=name), Dense(1, name=name + "!")]
    text = network_svg(compile_layers(net, 2), 2)
    root = ET.fromstring(text.encode())
    assert all(len(shown) <= 14 for group in columns(root) for shown in texts(group))
    assert "<script" not in text
    assert summary_table(compile_layers(net, 2), 2)


def test_styles_stay_inside():
    """Pages hold several drawings: each rule names the class of one kind."""
    for dark, name in ((None, "nnc-net"), (True, "nnc-net-dark"), (False, "nnc-net-light")):
        text = draw("small", dark=dark)
        (style,) = re.findall(r"<style>(.*)</style>", text)
        assert ET.fromstring(text).get("class") == name
        assert ("@media (prefers-color-scheme:dark)" in style) == (dark is None)
        rules = re.findall(r"[^{}]+(?=\{[^{}]*\})", style)
        assert all(rule.startswith(f".{name} ") for rule in rules)
        assert "url(" not in text
        assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def luminance(colour):
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("shade", [0, 1])
def test_contrast(shade):
    """WCAG 2: 4.5 for text, 3 for what else must be seen."""
    weights = np.array([0.2126, 0.7152, 0.0722])
    panel = luminance(drawing.COLOURS["panel"][shade]) @ weights

    def contrast(name, ground=panel):
        pair = sorted([luminance(drawing.COLOURS[name][shade]) @ weights, ground])
        return (pair[1] + 0.05) / (pair[0] + 0.05)

    assert min(contrast("ink"), contrast("faint")) >= 4.5
    bar = luminance(drawing.COLOURS["bar"][shade]) @ weights
    assert contrast("faint", bar) >= 4.5
    assert min(contrast("positive"), contrast("negative")) >= 3


@pytest.mark.parametrize("shade", [0, 1])
def test_signs_differ_for_colour_blind_eyes(shade):
    pair = [luminance(drawing.COLOURS[sign][shade]) for sign in ("positive", "negative")]
    assert least_difference(*pair) > 0.35


def test_the_table():
    net = [
        Dense(25, "relu"), BatchNorm(trainable=False), Dropout(0.5),
        Dense(1, "sigmoid", name="answer", bias=False),
    ]  # fmt: skip
    assert summary_table(compile_layers(net, 2), 2).splitlines() == [
        "layer           output  activation  parameters",
        "─" * 69,
        "input           (2,)",
        "Dense           (25,)   relu                75  W1 b1",
        "BatchNorm       (25,)                       50  gamma2 beta2 (frozen)",
        "Dropout(0.5)    (25,)",
        "answer (Dense)  (1,)    sigmoid             25  W3",
        "─" * 69,
        "total                                      150  50 frozen",
    ]


@pytest.mark.parametrize("name", NETS)
def test_totals(name):
    net, input_dim = NETS[name]
    specs = compile_layers(net, input_dim)
    total = int(summary_table(specs, input_dim).split()[-1].replace(",", ""))
    widths = [input_dim, *(spec.n_out for spec in specs if spec.kind == "dense")]
    dense = sum(a * b + b for a, b in itertools.pairwise(widths))
    norms = sum(2 * spec.n_out for spec in specs if spec.kind.endswith("norm"))
    assert total == dense + norms


def test_drawing_needs_no_program():
    source = Path(drawing.__file__).read_text()
    assert not re.search(r"import (subprocess|graphviz|matplotlib)", source)
