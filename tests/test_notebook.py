"""The notebook runs from nothing and on one's own files, and is committed with its outputs."""

import re
from dataclasses import asdict
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

import custom_dataset
from bams import checkpoint, simulate
from bams.checkpoint import Checkpoint
from bams.embedder.defaults import make_dataset, sizes
from bams.features.config import FeatureConfig
from bams.training.run import new_model

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "visualize_latents.ipynb"


def read() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def run(notebook: nbformat.NotebookNode, folder: Path, monkeypatch: pytest.MonkeyPatch) -> nbformat.NotebookNode:
    """The notebook after a run in an empty folder, with the repository's modules."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TQDM_DISABLE", "1")
    return NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()


def printed(notebook: nbformat.NotebookNode) -> str:
    streams = [out for cell in notebook.cells for out in cell.get("outputs", []) if out.output_type == "stream"]
    assert {out.name for out in streams} == {"stdout"}, [out.text for out in streams if out.name == "stderr"]
    return "".join(out.text for out in streams)


def pictures(notebook: nbformat.NotebookNode) -> list[int]:
    """How many figures each cell shows."""
    return [sum("image/png" in out.get("data", {}) for out in cell.get("outputs", [])) for cell in notebook.cells]


def read_outs(text: str) -> dict[str, dict[str, float]]:
    """The table of the read-out: scores by label, by row."""
    header, *lines = text[text.index("macro F1") :].splitlines()
    labels = header.split("held out")[1].split()
    split = [re.match(r"(.*?)\s+((?:\d\.\d\d\s*)+)$", line).groups() for line in lines if line]
    return {name: dict(zip(labels, map(float, scores.split()), strict=True)) for name, scores in split}


@pytest.mark.slow
def test_notebook_runs_from_a_fresh_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ran = run(read(), tmp_path, monkeypatch)
    text = printed(ran)
    assert "There is no checkpoint yet" in text
    assert pictures(ran) == pictures(read())
    table = read_outs(text)
    assert set(table) == {"short term", "long term", "both", "raw input"}
    # what the prose says of the read-out
    for cause in ("mode", "lights"):
        assert table["long term"][cause] > table["short term"][cause]
        assert table["both"][cause] > table["raw input"][cause] + 0.05
    assert table["short term"]["action"] > table["long term"]["action"]


@pytest.mark.slow
def test_notebook_on_files_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Recordings of two lengths, labels of recordings and of tracks, some missing, names for some."""
    mice = simulate.simulate_mice(10, frames=400, individuals=2, seed=0)
    mice.keypoints[1, :, 350:] = mice.keypoints[4, 1] = np.nan  # one ends early, one mouse is never there
    labels = {
        "labels_mode": mice.modes.reshape(20, 400),
        "labels_mode_names": np.array(simulate.MODES),
        "labels_close": np.where(np.arange(400) < 300, mice.close.astype(np.int8), -1),
        "seq_labels_strain": mice.strain,
        "seq_labels_weight": np.array([20.0, np.nan, *range(21, 29)]),
    }
    np.savez(tmp_path / "mine.npz", keypoints=mice.keypoints, **labels)
    recordings, config = custom_dataset.load_data(str(tmp_path / "mine.npz")), FeatureConfig()
    dataset = make_dataset(recordings, config, sequence_length=200)
    model = new_model(dataset, sizes(pooled=False), 0)
    kept = {"epochs": 1, "skip_frames": 100, **asdict(config)}
    marginal = np.ones(dataset.target_size, np.float32)
    made = Checkpoint(model, "custom", dataset.statistics, marginal, dataset.feature_names, kept)
    checkpoint.save(tmp_path / "m.pt", made)

    notebook = read()
    (paths,) = [cell for cell in notebook.cells if cell.source.startswith("from pathlib import Path")]
    paths.source = re.sub(r"CHECKPOINT = .*", 'CHECKPOINT = Path("m.pt")', paths.source)
    paths.source = re.sub(r"DATA = .*", 'DATA = Path("mine.npz")', paths.source)
    ran = run(notebook, tmp_path, monkeypatch)
    text = printed(ran)
    assert "m.pt: trained on custom for 1 epochs" in text
    assert f"long term: {dataset.n_tracks} tracks x 400 frames x 64 channels" in text
    assert sum(pictures(ran)) == 3  # there are no training curves
    assert set(read_outs(text)["both"]) == {"close", "strain", "mode"}
    assert not (tmp_path / "demo").exists()


def test_notebook_is_committed_with_its_outputs():
    notebook, raw = read(), NOTEBOOK.read_text()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert sum(pictures(notebook)) == 4
    assert len(raw) < 1_500_000
    assert not re.search(r"/(tmp|home|work|Users|root)/", printed(notebook))
    for name, scores in read_outs(printed(notebook)).items():
        assert all(0 < score < 1 for score in scores.values()), name
