"""Read-outs of any labels, and files of MABe 2022 that come back as they were written."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from strategies import SCALES, Refusal, any_numbers, layouts, names, outcome, same, seeds, share_of_examples

from bams import evaluate_labels, train_linear_classifier, train_linear_regressor
from bams.mabe import files as mabe_files
from bams.mabe.files import Task
from bams.mabe.protocol import read_labels, read_submission

LABELS = st.sampled_from(("classes", "one class", "none", "measures", "constant", "huge"))


def make_labels(kind: str, count: int, seed: int) -> np.ndarray:
    """Labels of any kind, some of them missing."""
    rng = np.random.default_rng(seed)
    return {
        "classes": lambda: rng.integers(-1, 3, count),
        "one class": lambda: np.zeros(count, int),
        "none": lambda: np.full(count, np.nan),
        "measures": lambda: np.where(rng.random(count) < 0.2, np.nan, rng.normal(size=count)),
        "constant": lambda: np.full(count, 2.5),
        "huge": lambda: rng.normal(size=count) * 1e30,
    }[kind]()


@given(st.data(), LABELS, st.sampled_from((1, 2, 30)), st.sampled_from((1, 3)), layouts())
def test_linear_read_outs_predict_finite_numbers(data, kind: str, rows: int, channels: int, lay_out):
    features, test = (np.nan_to_num(data.draw(any_numbers((count, channels)))) for count in (rows, 4))
    y, before = make_labels(kind, rows, data.draw(seeds())), features.copy()
    for read_out in (train_linear_classifier, train_linear_regressor):
        found = outcome(lambda read_out=read_out: read_out((lay_out(features), y), (test, make_labels(kind, 4, 1))))
        same(features, before)
        if not isinstance(found, Refusal):
            assert np.isfinite(found.predictions).all() and len(found.predictions) == 4
            assert not any(np.isinf(score) for score in found.scores.values())


@given(
    *(st.data(), LABELS, st.sampled_from((2, 12, 40)), st.sampled_from((1, 3)), st.integers(1, 5)),
    *(st.booleans(), st.booleans(), st.sampled_from((2, 5))),
)
def test_read_outs_with_recordings_held_out(data, kind, rows, channels, groups, whole, measure, folds):
    features, group = np.nan_to_num(data.draw(any_numbers((rows, channels)))), np.arange(rows) % groups
    values = make_labels(kind, len(np.unique(group)) if whole else rows, data.draw(seeds()))
    options = {"regression": ["label"] * measure, "sequence_level": ["label"] * whole, "folds": folds}
    found = outcome(lambda: evaluate_labels({"embedding": features}, {"label": values}, group, **options))
    if isinstance(found, Refusal):
        return
    scores = found["label"]
    assert scores.folds <= min(folds, groups) and scores.read_out <= scores.labelled
    assert not any(np.isinf(score).any() for row in scores.rows.values() for score in row.values())
    for confusion in scores.confusions.values():
        np.testing.assert_allclose(np.nansum(confusion, axis=1), np.isfinite(confusion).any(axis=1), atol=1e-9)
    assert scores.to_text() and found.to_csv()


@share_of_examples(0.5)
@given(seeds(), st.sampled_from(SCALES), st.permutations(range(6)), st.booleans())
def test_read_outs_do_not_depend_on_unit_or_order(seed: int, scale: float, order: list[int], measure: bool):
    """Features are standardised, and with as many folds as recordings their order does not matter."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(60, 3)).astype(np.float32)
    values = features[:, 0] + rng.normal(size=60) if measure else (features[:, 0] + rng.normal(size=60) > 0).astype(int)
    groups, options = np.arange(60) // 10, {"regression": ["y"] * measure, "folds": 6}
    one = evaluate_labels({"e": features}, {"y": values}, groups, **options)["y"].rows["e"]
    scaled = (features * np.float64(scale)).astype(np.float32)
    other = outcome(lambda: evaluate_labels({"e": scaled}, {"y": values}, groups, **options), refused=False)
    rows = np.concatenate([np.flatnonzero(groups == g) for g in order])
    turned = evaluate_labels({"e": features[rows]}, {"y": values[rows]}, groups[rows], **options)
    for found in (other["y"].rows["e"], turned["y"].rows["e"]):
        for name, score in one.items():
            # a prediction close to the threshold may fall to either side, one in 60
            np.testing.assert_allclose(found[name].value, score.value, atol=1e-4 if measure else 0.04)


CLIPS = st.lists(names(), min_size=1, max_size=4, unique=True)


@share_of_examples(0.5)
@given(st.data(), CLIPS, st.integers(1, 2), st.sampled_from((1, 3)), st.booleans(), layouts())
def test_sequences_come_back_from_their_file(tmp_path, data, ids, individuals, count, whole, lay_out):
    """Whole numbers where missing is 0, and any float32 where missing is NaN."""
    clips = {}
    for name in ids:
        array = data.draw(any_numbers((individuals, data.draw(st.integers(1, 4)), count, 2)))
        clips[name] = np.clip(np.rint(array), 1, 2**20) if whole else array
    path, given_ = tmp_path / "clips.npy", {name: lay_out(clip) for name, clip in clips.items()}
    outcome(lambda: mabe_files.write_sequences(path, given_, zero_missing=whole), refused=False)
    options = {"keypoints": count, "individuals": individuals, "zero_missing": whole}
    found, arrays = outcome(lambda: mabe_files.load_sequences(path, **options), refused=False)
    assert found == ids
    for array, expected in zip(arrays, clips.values(), strict=True):
        same(array, expected)


@share_of_examples(0.5)
@given(st.data(), CLIPS, st.booleans())
def test_labels_and_submissions_come_back_from_their_files(tmp_path, data, ids: list[str], discrete: bool):
    lengths = data.draw(st.lists(st.integers(1, 5), min_size=len(ids), max_size=len(ids)))
    rows = outcome(lambda: mabe_files.frame_map(ids, lengths), refused=False)
    assert [end - start for start, end in rows.values()] == lengths
    values = data.draw(any_numbers((1, sum(lengths), 1)))[0, :, 0]
    tasks = {name: Task(values, discrete) for name in data.draw(CLIPS)}
    outcome(lambda: mabe_files.write_labels(tmp_path / "labels.npy", rows, tasks), refused=False)
    found = outcome(lambda: read_labels(tmp_path / "labels.npy"), refused=False)
    assert found.rows == rows and list(found.tasks) == list(tasks)
    for task in found.tasks.values():
        same(task.values, values)
        assert task.discrete == discrete
    embeddings, path = np.nan_to_num(data.draw(any_numbers((sum(lengths), 3)))), tmp_path / "submission.npy"
    outcome(lambda: mabe_files.write_submission(path, rows, embeddings, rows, 3), refused=False)
    same(outcome(lambda: read_submission(path, rows, 3), refused=False), embeddings)
