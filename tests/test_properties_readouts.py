"""Read-outs of any labels, and the files of MABe 2022: finite scores or the documented error; the same back."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import SCALES, Refusal, any_numbers, layouts, names, numbers, outcome, same, seeds, share_of_examples

from bams import evaluate_labels, train_linear_classifier, train_linear_regressor
from bams.data.labels import as_classes, as_measures
from bams.mabe import files as mabe_files
from bams.mabe import scores as mabe_scores
from bams.mabe.files import Task
from bams.mabe.protocol import Labels, Protocol, read_labels, read_protocol, read_submission
from bams.mabe.simulated import clip_ids, write_protocol

MAKERS = {
    "classes": lambda count, rng: rng.integers(-1, 3, count),
    "one class": lambda count, _: np.zeros(count, int),
    "none": lambda count, _: np.full(count, np.nan),
    "measures": lambda count, rng: np.where(rng.random(count) < 0.2, np.nan, rng.normal(size=count)),
    "constant": lambda count, _: np.full(count, 2.5),
    "infinite": lambda count, _: np.full(count, np.inf),
    "text": lambda count, _: np.full(count, "ü"),
    "too few": lambda count, _: np.zeros(count + 1, int),
    "huge": lambda count, rng: rng.normal(size=count) * 1e30,
}
LABELS = st.sampled_from(list(MAKERS))


def make_labels(kind: str, count: int, seed: int) -> np.ndarray:
    return MAKERS[kind](count, np.random.default_rng(seed))


@given(seeds(), LABELS, st.integers(0, 20))
def test_labels_of_any_kind(seed: int, kind: str, count: int):
    values = make_labels(kind, count, seed)
    for dtype in ("uint8", "uint64", "bool", "int8", "float16"):  # that of the labels does not matter
        small = np.arange(count).astype(dtype)
        same(outcome(lambda small=small: as_classes(small), refused=False), small.astype(np.int64))
    classes = outcome(lambda: as_classes(values), refused=True if kind == "text" else None)
    assert isinstance(classes, Refusal) or (classes.dtype == np.int64 and (classes >= -1).all())
    measures = outcome(lambda: as_measures(values), refused=kind == "text" or (kind == "infinite" and count > 0))
    assert isinstance(measures, Refusal) or measures.dtype == np.float64


@given(st.data(), LABELS, st.sampled_from((0, 1, 2, 30)), st.sampled_from((0, 1, 3)), layouts())
def test_linear_read_outs(data, kind: str, rows: int, channels: int, lay_out):
    features = np.nan_to_num(data.draw(any_numbers((rows, channels))))
    if data.draw(st.sampled_from((False, False, True))) and features.size:
        features[0, 0] = data.draw(st.sampled_from((np.nan, np.inf)))
    y = make_labels(kind, rows, data.draw(seeds()))
    before = features.copy()
    test = np.nan_to_num(data.draw(any_numbers((4, channels)))), make_labels(kind, 4, 1)[:4]
    for read_out in (train_linear_classifier, train_linear_regressor):
        found = outcome(lambda read_out=read_out: read_out((lay_out(features), y), test))
        same(features, before)
        if isinstance(found, Refusal):
            continue
        assert np.isfinite(found.predictions).all() and len(found.predictions) == 4
        assert all(not np.isinf(score) for score in found.scores.values())
        assert np.isfinite(features).all()


@given(
    *(st.data(), LABELS, st.sampled_from((2, 12, 40)), st.sampled_from((1, 3)), st.integers(1, 5), layouts()),
    *(st.booleans(), st.booleans(), st.sampled_from((1, 2, 5))),
)
def test_read_outs_with_recordings_held_out(data, kind, rows, channels, groups, lay_out, whole, measure, folds):
    features = np.nan_to_num(data.draw(any_numbers((rows, channels))))
    group = np.arange(rows) % groups
    values = make_labels(kind, len(np.unique(group)) if whole else rows, data.draw(seeds()))
    kind = {"regression": ["label"] * measure, "sequence_level": ["label"] * whole, "folds": folds}
    found = outcome(lambda: evaluate_labels({"embedding": lay_out(features)}, {"label": values}, group, **kind))
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
    """That of the features, which are standardised; with as many folds as recordings, their order."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(60, 3)).astype(np.float32)
    values = features[:, 0] + rng.normal(size=60) if measure else (features[:, 0] + rng.normal(size=60) > 0).astype(int)
    groups, options = np.arange(60) // 10, {"regression": ["y"] if measure else [], "folds": 6}
    one = evaluate_labels({"e": features}, {"y": values}, groups, **options)["y"].rows["e"]
    scaled = (features * np.float64(scale)).astype(np.float32)
    other = outcome(lambda: evaluate_labels({"e": scaled}, {"y": values}, groups, **options), refused=False)
    rows = np.concatenate([np.flatnonzero(groups == g) for g in order])
    turned = evaluate_labels({"e": features[rows]}, {"y": values[rows]}, groups[rows], **options)
    for found in (other["y"].rows["e"], turned["y"].rows["e"]):
        for name, score in one.items():
            # a prediction that hardly decides may fall to either side, one in 60
            np.testing.assert_allclose(found[name].value, score.value, atol=1e-4 if measure else 0.04)


# --- files of MABe 2022 ---

clip_names = st.lists(names(), min_size=1, max_size=4, unique=True)


@share_of_examples(0.5)
@given(st.data(), clip_names, st.integers(1, 2), st.sampled_from((1, 3)), st.booleans(), layouts())
def test_sequences_to_a_file_and_back(tmp_path, data, ids, individuals: int, count: int, whole: bool, lay_out):
    """Whole numbers come back where missing is 0, and any float32 where it is NaN."""
    clips = {}
    for name in ids:
        array = data.draw(any_numbers((individuals, data.draw(st.integers(1, 4)), count, 2)))
        clips[name] = np.clip(np.rint(array), 1, 2**20) if whole else array
    path = tmp_path / "clips.npy"
    given_ = {name: lay_out(clip) for name, clip in clips.items()}
    mabe_files.write_sequences(path, given_, zero_missing=whole)
    found, arrays = mabe_files.load_sequences(path, keypoints=count, individuals=individuals, zero_missing=whole)
    assert found == ids
    for array, expected in zip(arrays, clips.values(), strict=True):
        same(array, expected)
    outcome(lambda: mabe_files.load_sequences(path, keypoints=count + 1, individuals=individuals), refused=True)


@share_of_examples(0.5)
@given(st.data(), clip_names)
def test_labels_and_frame_maps_to_a_file_and_back(tmp_path, data, ids: list[str]):
    lengths = data.draw(st.lists(st.integers(1, 5), min_size=len(ids), max_size=len(ids)))
    rows = mabe_files.frame_map(ids, lengths)
    assert [end - start for start, end in rows.values()] == lengths
    mabe_files.check_frame_map(rows, ids, lengths, "the map")
    outcome(lambda: mabe_files.check_frame_map(rows, ids, [n + 1 for n in lengths], "the map"), refused=True)
    tasks = {
        name: Task(data.draw(any_numbers((1, sum(lengths), 1)))[0, :, 0], data.draw(st.booleans()))
        for name in data.draw(st.lists(names(), min_size=1, max_size=3, unique=True))
    }
    path = tmp_path / "labels.npy"
    mabe_files.write_labels(path, rows, tasks)
    found = read_labels(path)
    assert found.rows == rows and list(found.tasks) == list(tasks)
    for name, task in tasks.items():
        same(found.tasks[name].values, task.values)
        assert found.tasks[name].discrete == task.discrete


@share_of_examples(0.5)
@given(st.data(), clip_names, st.integers(1, 4), st.sampled_from(("float32", "float64", "int32")), layouts())
def test_submissions_to_a_file_and_back(tmp_path, data, ids, columns: int, dtype: str, lay_out):
    lengths = [2] * len(ids)
    rows = mabe_files.frame_map(ids, lengths)
    frames = sum(lengths) + data.draw(st.sampled_from((0, 0, 1)))
    embeddings = np.nan_to_num(data.draw(any_numbers((frames, columns))))
    if data.draw(st.sampled_from((False, False, True))):
        embeddings[-1, -1] = data.draw(st.sampled_from((np.nan, np.inf)))
    finite = np.isfinite(embeddings).all()
    with np.errstate(all="ignore"):
        given_ = lay_out(embeddings.astype(dtype)).astype(dtype, copy=False)
    path = tmp_path / "submission.npy"
    right = frames == sum(lengths) and columns <= 3 and dtype == "float32" and finite
    found = outcome(lambda: mabe_files.write_submission(path, rows, given_, rows, 3), refused=not right)
    if isinstance(found, Refusal):
        return
    same(read_submission(path, rows, 3), embeddings)
    outcome(lambda: read_submission(path, {**rows, "another": (frames, frames + 1)}, 3), refused=True)


@given(st.data(), st.sampled_from((1, 3)), st.sampled_from(("few", "none", "one class", "ordinary", "third")))
@example(None, 3, "ordinary")
def test_scores_of_submissions(data, columns: int, kind: str):
    ids = [f"clip{i}" for i in range(8)]
    rows = mabe_files.frame_map(ids, [5] * 8)
    rng = np.random.default_rng(0)
    classes = {
        "few": np.where(rng.random(40) < 0.9, np.nan, 1.0),
        "none": np.full(40, np.nan),
        "one class": np.zeros(40),
        "ordinary": rng.integers(0, 2, 40).astype(float),
        "third": np.arange(40) % 3.0,
    }[kind]
    measures = np.where(np.isfinite(classes), rng.normal(size=40), np.nan)
    tasks = {
        "class": Task(classes.astype(np.float32), kind != "third"),
        "measure": Task(measures.astype(np.float32), False),
        "walk_singletask_fly_0": Task(np.nan_to_num(classes).clip(0, 1).astype(np.float32), True),
    }
    embeddings = data.draw(any_numbers((40, columns), gaps=(0.0,))) if data else numbers((40, columns), 0)
    protocol = Protocol(ids[:4], ids[4:6], ids[6:], list(tasks), frozenset(["class"]))
    found = outcome(lambda: mabe_scores.score(embeddings, Labels(rows, tasks), protocol))
    if isinstance(found, Refusal):
        assert kind in ("few", "none"), found.sentence
        return
    assert [row.task for row in found] == ["class", "measure", "walk"]
    for row in found:
        assert not np.isinf([row.private, row.public, row.no_ensemble, row.pooled]).any()
        assert row.metric != "F1" or (0 <= row.private <= 1 and 0 <= row.public <= 1)


@share_of_examples(0.5)
@given(st.integers(1, 9), st.booleans(), st.lists(names(), min_size=1, max_size=3, unique=True), st.integers(0, 2))
def test_splits_and_tasks_to_files_and_back(tmp_path, clips, doubled, task_names, value):
    """A clip given twice and a class other than 0 and 1 are refused; few clips may be."""
    ids = clip_ids(clips, 0)
    tasks = {name: Task(np.full(clips, float(value)), True) for name in task_names}
    paths = tmp_path / "splits.json", tmp_path / "tasks.json"
    write_protocol(*paths, ["another"], [*ids, ids[0]] if doubled else ids, task_names, task_names[:1])
    refused = True if doubled or value == 2 else None if clips < 4 else False
    labels = Labels(mabe_files.frame_map(ids, [1] * clips), tasks)
    found = outcome(lambda: read_protocol(*paths, labels), refused=refused)
    if not isinstance(found, Refusal):
        assert sorted([*found.train, *found.public, *found.private]) == sorted(ids) and found.tasks == task_names
