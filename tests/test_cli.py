"""The console script, as a person runs it."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

import nnc
from nnc import cli

SCRIPT = [str(Path(sys.executable).with_name("nnc"))]
MODULE = [sys.executable, "-m", "nnc"]


def run(command, *arguments, **options):
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=120, **options
    )


@pytest.mark.parametrize("command", [SCRIPT, MODULE], ids=["nnc", "python -m nnc"])
def test_chapter_2_prints_cost_accuracy_times_ratio_and_difference(command, tmp_path):
    result = run(command, "--epochs", "200", cwd=tmp_path)
    assert result.returncode == 0
    assert result.stderr == ""
    out = result.stdout
    assert "2-25-50-50-25-1, 200 epochs, learning rate 0.01, float64" in out
    assert re.search(r"^train +cost 0\.69\d+, accuracy 0\.5\d+$", out, re.MULTILINE)
    assert re.search(r"^test +cost 0\.69\d+, accuracy 0\.\d+$", out, re.MULTILINE)
    assert re.search(r"^nnc +[\d.e-]+ s$", out, re.MULTILINE)
    assert re.search(r"^NumPy +[\d.e-]+ s.*: [\d.]+ times as long$", out, re.MULTILINE)
    difference = re.search(r"after 200 epochs: ([\d.e-]+)$", out, re.MULTILINE)
    assert float(difference[1]) < 1e-13


def test_numpys_time_on_fewer_epochs_says_so(capsys, monkeypatch):
    monkeypatch.setattr(cli, "REFERENCE_SECONDS", 0.01)
    assert cli.main(["--epochs", "400"]) == 0
    assert re.search(r"NumPy .* \(from \d+ epochs\): ", capsys.readouterr().out)


def test_the_script_works_from_the_root_of_a_checkout():
    root = Path(__file__).parent.parent
    for command in (SCRIPT, MODULE):
        result = run(command, "--chapter", "1", cwd=root)
        assert result.returncode == 0, result.stderr


def test_chapter_1_prints_the_table_of_predictions():
    result = run(SCRIPT, "--chapter", "1")
    rows = re.findall(r"^ +([01]) +([01]) +1 +(0\.\d{3}) +([01])$", result.stdout, re.MULTILINE)
    assert [(a, b, y) for a, b, _, y in rows] == [
        ("0", "0", "0"), ("0", "1", "1"), ("1", "0", "1"), ("1", "1", "0"),
    ]  # fmt: skip
    assert [float(p) for _, _, p, _ in rows] == pytest.approx(
        [0.023, 0.979, 0.975, 0.025], abs=0.004
    )
    assert "times as long" in result.stdout


def test_options_reach_the_training(capsys):
    options = [
        "--epochs",
        "5",
        "--lr",
        "0.5",
        "--seed",
        "7",
        "--dtype",
        "float32",
        "--threads",
        "1",
    ]
    assert cli.main(options) == 0
    out = capsys.readouterr().out
    assert "5 epochs, learning rate 0.5, float32" in out
    data, net = cli.datasets.tutorial_moons(), cli.datasets.tutorial_architecture()
    params, _, _ = nnc.train(data.X_train, data.Y_train, net, 5, 0.5, seed=7, dtype="float32")
    Y_hat, _ = nnc.full_forward_propagation(data.X_test.astype("float32"), params, net)
    assert f"test      cost {nnc.get_cost_value(Y_hat, data.Y_test):.6f}" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lr", "-1"], "nnc: learning_rate: expected a finite positive number"),
        (["--epochs", "-1"], "nnc: epochs: expected at least 0"),
        (["--lr", "1e200"], "nnc: training diverged"),
        (["--chapter", "1", "--lr", "1"], "nnc: --lr is an option of chapter 2"),
        (["--chapter", "1", "--epochs", "-2"], "nnc: iterations: expected at least 0"),
    ],
)
def test_bad_options_are_one_line_on_standard_error(options, message):
    result = run(SCRIPT, *options)
    assert result.returncode == 1
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("chapter", ["1", "2"])
def test_a_reader_that_leaves_early_is_no_error(chapter):
    command = f"{SCRIPT[0]} --chapter {chapter} --epochs 20 | head -n 1"
    result = run(["bash", "-c", command])
    assert result.stdout.startswith("chapter ")
    assert result.stderr == ""


def test_a_full_disk_is_one_line_on_standard_error():
    result = run(["bash", "-c", f"{SCRIPT[0]} --chapter 1 > /dev/full"])
    assert result.returncode == 1
    assert result.stderr == "nnc: [Errno 28] No space left on device\n"


def test_standard_error_may_be_closed():
    result = run(["bash", "-c", f"{SCRIPT[0]} --epochs 20 2>&-"])
    assert result.returncode == 0
    assert "times as long" in result.stdout


def test_zero_epochs(capsys):
    assert cli.main(["--epochs", "0"]) == 0
    assert cli.main(["--chapter", "1", "--epochs", "0"]) == 0
    assert "nan" not in capsys.readouterr().out


def test_a_terminal_sees_a_progress_bar_that_is_gone_at_the_end():
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*SCRIPT, "--epochs", "3000"], stdout=subprocess.DEVNULL, stderr=follower
    )
    os.close(follower)
    seen = b""
    try:
        while chunk := os.read(leader, 4096):
            seen += chunk
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(leader)
    assert process.wait() == 0
    assert re.search(rb"\r\[#*\.*\] \d+/3000  cost 0\.\d+", seen)
    assert seen.endswith(b"\r\x1b[K")
    assert seen.count(b"/3000") < 60
