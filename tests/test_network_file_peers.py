"""Saved networks and checkpoints are files of safetensors, with names that a reader understands."""

import pytest
import trainings
from test_network_files import NETWORKS, trained

pytestmark = pytest.mark.peers


@pytest.mark.parametrize("name", NETWORKS)
def test_safetensors_reads_networks(name, tmp_path):
    from safetensors.numpy import load_file

    network = trained(name)
    network.save(tmp_path / "x.safetensors")
    tensors = load_file(tmp_path / "x.safetensors")
    for key, array in network.params.items():
        assert tensors[key].dtype == array.dtype
        assert (tensors[key] == array).all()
    rest = tensors.keys() - network.params.keys()
    assert rest <= {"optimizer.state", "optimizer.average"}


def test_safetensors_reads_checkpoints(tmp_path):
    from safetensors import safe_open

    path = tmp_path / "x.safetensors"
    result = trainings.run("everything", path)
    with safe_open(path, "numpy") as file:
        assert file.metadata()["kind"] == "checkpoint"
        names = set(file.keys())
        history = file.get_tensor("training.history")
    assert {"W2", "b2", "gamma1", "mean1", "optimizer.state", "optimizer.average"} <= names
    assert history.shape == (len(result["history"]), trainings.EPOCHS)
    losses = history[list(result["history"]).index("loss")]
    assert [value.hex() for value in losses.tolist()] == result["history"]["loss"]
