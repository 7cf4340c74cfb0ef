"""The protocol of benchmarks/readout.py, compared with scikit-learn and with known scores of real rats."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import f1_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks import readout
from benchmarks.yardstick import WINDOW, Task, Yardstick, hand_made, load, score

RATS = Path(__file__).parents[1] / "../shared/data/rat_social.npz"


def test_scores_equal_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(3, 14), 40)
    classes = rng.integers(0, 3, len(group))
    features = (rng.normal(size=(len(group), 5)) + 0.5 * classes[:, None]).astype(np.float32)
    recordings = [3, 4, 6, 7, 8, 10, 11, 12, 13]
    found = score(features, classes, group, recordings, 3)

    chosen = np.isin(group, recordings)
    x, y = features[chosen], classes[chosen]
    order = np.random.default_rng(0).permutation(len(recordings))
    fold_of = {recordings[place]: i % 5 for i, place in enumerate(order)}
    folds = PredefinedSplit([fold_of[recording] for recording in group[chosen]])
    model = make_pipeline(StandardScaler(), RidgeClassifier(alpha=1, class_weight="balanced"))
    together = cross_val_predict(model, x, y, cv=folds)
    assert found.macro_f1 == pytest.approx(f1_score(y, together, average="macro"), abs=1e-9)
    alone = [f1_score(y == c, cross_val_predict(model, x, y == c, cv=folds)) for c in range(3)]
    assert found.mean_f1 == pytest.approx(np.mean(alone), abs=1e-9)


def walks(frames: tuple[int, ...] = (1300, 700, 650, 600, 1250)) -> Yardstick:
    """Pairs of animals; the label says whether the first one's last step was long."""
    rng = np.random.default_rng(0)
    recordings = [rng.normal(size=(2, length, 3, 2)).cumsum(axis=1).astype(np.float32) for length in frames]
    steps = [np.linalg.norm(np.diff(r[0, :, 0], axis=0, prepend=0), axis=-1) for r in recordings]
    labels = [(step > np.median(step)).astype(int) for step in steps]
    own = Task("own", ("a", "b"), [np.stack([s, 1 - s]) for s in labels])
    return Yardstick("walks", recordings, [Task("step", ("short", "long"), labels), own])


def test_rows_are_every_fifth_frame_of_whole_windows():
    yardstick = walks()
    channels = [yardstick.cut(recording[..., 0, 0][..., None], i) for i, recording in enumerate(yardstick.recordings)]
    features, classes, group = yardstick.table(yardstick.tasks[0], channels)
    counts = [1200 // 5, 120, 120, 120, 240]
    assert np.bincount(group).tolist() == counts
    assert classes[:3].tolist() == yardstick.tasks[0].labels[0][[0, 5, 10]].tolist()
    pair = yardstick.recordings[0][:, 5, 0, 0]
    np.testing.assert_allclose(features[1], [pair.mean(), np.ptp(pair)], rtol=1e-5)
    features, classes, group = yardstick.table(yardstick.tasks[1], channels)
    assert np.bincount(group).tolist() == [2 * count for count in counts]
    assert features.shape[1] == 1


@pytest.mark.slow
def test_a_row_is_trained_once_and_the_report_holds_all(tmp_path, monkeypatch):
    yardstick = walks()
    monkeypatch.setattr(readout, "ROUND", 2)
    row = readout.train_row(yardstick, {"predict": ("movement", "approach")}, 0, 2)
    assert [point["step"] for point in row["curve"]] == [0, 2, 4]
    assert set(row["scores"]) == {"short_term", "long_term", "both"}
    assert row["scores"]["both"]["step"]["width"] == 128
    assert row["scores"]["both"]["own"]["width"] == 64
    assert row["settings"]["lr_schedule"] == "cosine" and 0 < row["minutes"] < 5
    made = []
    for name in ("the recipe-0", "no bootstrap-0"):
        for _ in range(2):
            readout.finish(tmp_path / f"{name}.json", lambda: made.append(1) or row)
    assert len(made) == 2
    readout.finish(tmp_path / "by hand.json", lambda: readout.hand_made_rows(yardstick))
    text = readout.readout_report.write(tmp_path, yardstick)
    assert all(line in text for line in ("the recipe, long_term alone", "no bootstrap", "random weights", "PCA"))
    assert {path.name for path in tmp_path.iterdir()} >= {"scores.txt", "curve.png"}


def test_changes_are_compared_seed_by_seed(tmp_path):
    def write(row: str, seed: int, f1: float) -> None:
        both = {task.name: {"width": 2, "all": {"mean_f1": f1, "macro_f1": f1 / 2}} for task in yardstick.tasks}
        found = {"scores": {"both": both}, "settings": {"seed": seed}, "minutes": 1.0, "skill": 0.1}
        (tmp_path / f"{row}-{seed}.json").write_text(json.dumps(found))

    yardstick = walks()
    (tmp_path / "by hand.json").write_text("{}")
    for seed, f1 in ((0, 0.5), (1, 0.6)):
        write("recipe, 250 steps", seed, f1)
    for seed, f1 in ((0, 0.4), (1, 0.54), (2, 0.1)):  # the last seed has nothing to compare with
        write("no bootstrap", seed, f1)
    write("window of 60 frames", 1, 0.7)
    text = readout.readout_report.write(tmp_path, yardstick)
    assert re.search(r"no bootstrap +-0.080 ± 0.028 / -0.040 ± 0.014 +2 seeds", text)
    assert re.search(r"window of 60 frames +\+0.100 / \+0.050 +1 seed$", text, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.skipif(not RATS.exists(), reason="needs ../shared/data/rat_social.npz")
def test_hand_made_features_have_known_scores_on_real_rats():
    yardstick = load(str(RATS))
    rows = hand_made(yardstick)
    known = {
        "pixels and differences": (0.445, 0.354),
        "by hand, one frame": (0.600, 0.547),
        "by hand, with means over 1 s": (0.625, 0.589),
        "by hand, with means over 1 and 5 s": (0.645, 0.618),
    }
    for name, expected in known.items():
        features, classes, group = yardstick.table(yardstick.tasks[0], rows[name])
        assert score(features, classes, group, range(58), 3) == pytest.approx(expected, abs=0.0025), name
    assert sum(yardstick.windows) * WINDOW == 813_000
