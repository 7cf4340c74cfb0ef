"""The MABe 2022 scorer against a plain scikit-learn run of the same protocol, and its files."""

import csv
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from refusals import refused
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.metrics import f1_score, mean_squared_error
from sklearn.model_selection import train_test_split

from bams.mabe import files as mabe_files
from bams.mabe.files import Task
from bams.mabe.protocol import Labels, Protocol, read_labels, read_protocol, read_submission
from bams.mabe.report import COLUMNS, format_comparison, format_scores, mean_f1, write_scores
from bams.mabe.scores import Score, score
from bams.mabe.simulated import clip_ids
from bams.storage import files

NAN = np.nan
MABE = Path(__file__).parents[2] / "shared" / "data" / "mabe"


def small_world(seed: int = 0, offset: float = 0.0):
    """Embeddings, labels and a protocol whose splits are in another order than the frames."""
    rng = np.random.default_rng(seed)
    clips, columns = 24, 6
    lengths = rng.integers(30, 60, clips)
    names = clip_ids(clips, seed)
    rows = mabe_files.frame_map(names, lengths)
    frames = int(lengths.sum())
    clip = np.repeat(np.arange(clips), lengths)
    embeddings = rng.normal(size=(frames, columns)) * rng.uniform(0.1, 5, columns)
    embeddings = (embeddings + rng.normal(size=(clips, columns))[clip] + offset).astype(np.float32)
    drive = (embeddings - embeddings.mean(0)) @ rng.normal(size=(columns, 4)) / columns
    order = rng.permutation(names).tolist()
    train, public, private = order[: clips // 2], order[clips // 2 : 3 * clips // 4], order[3 * clips // 4 :]
    tested = np.isin(np.array(names)[clip], [*public, *private])

    frame_class = (drive[:, 0] + rng.normal(0, 0.3, frames) > 0.2).astype(float)
    gaps = frame_class.copy()
    gaps[rng.random(frames) < 0.3] = NAN
    gaps[clip == clip[rows[private[0]][0]]] = NAN  # a clip without any label
    absent = frame_class.copy()
    absent[tested] = 0
    lonely = np.where(tested, frame_class, 1.0)  # only one class to learn from
    number = drive[:, 1] + rng.normal(0, 0.3, frames) + 7
    number[rng.random(frames) < 0.2] = NAN
    kind = (rng.random(clips) < 0.5).astype(float)[clip]
    kind[clip == clip[rows[public[0]][0]]] = NAN
    day = rng.integers(0, 5, clips).astype(float)[clip]
    tasks = {"frame_class": (frame_class, True), "gaps": (gaps, True), "absent": (absent, True)}
    tasks |= {"lonely": (lonely, True), "number": (number, False), "kind": (kind, True), "day": (day, False)}
    labels = Labels(rows, {name: Task(values.astype(np.float32), kind) for name, (values, kind) in tasks.items()})
    return embeddings, labels, Protocol(train, public, private, list(tasks), frozenset({"kind", "day", "gaps"}))


def plain_score(embeddings: np.ndarray, labels: Labels, protocol: Protocol, name: str) -> dict[str, float]:
    """One task as the evaluator's text says it, frame by frame with scikit-learn."""
    values, discrete = labels.tasks[name]
    rows = labels.rows

    def frames(clips: list[str]) -> np.ndarray:
        numbers = np.concatenate([np.arange(*rows[clip]) for clip in clips])
        return numbers[~np.isnan(values[numbers])]

    def metric(truth: np.ndarray, predicted: np.ndarray) -> float:
        if not discrete:
            return mean_squared_error(truth, predicted)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return f1_score(truth, predicted)

    single = {}
    for seed in (42, 43, 44):
        chosen, _ = train_test_split(protocol.train, test_size=0.1, random_state=seed)
        estimator = RidgeClassifier(alpha=1, class_weight="balanced") if discrete else Ridge(alpha=1)
        fitted = estimator.fit(embeddings[frames(chosen)].astype(np.float64), values[frames(chosen)])
        single[seed] = fitted.predict(embeddings.astype(np.float64))
    votes = np.stack(list(single.values()))
    joint = (votes == 1).any(axis=0).astype(float) if discrete else votes.mean(axis=0)
    private, public = frames(protocol.private + protocol.public), frames(protocol.public)
    scores = {
        "private": metric(values[private], joint[private]),
        "public": metric(values[public], joint[public]),
        "no_ensemble": np.mean([metric(values[private], vote[private]) for vote in votes]),
        "pooled": -1,
    }
    if name in protocol.sequence_level:
        clips = [frames([clip]) for clip in protocol.public + protocol.private]
        truth = np.array([values[clip].mean() for clip in clips if len(clip)])
        means = np.array([joint[clip].mean() for clip in clips if len(clip)])
        scores["pooled"] = metric(truth > 0.5, means > 0.5) if discrete else metric(truth, means)
    return scores


@pytest.mark.parametrize(("seed", "offset"), [(0, 0), (1, 0), (2, 0), (3, 100)])
def test_scores_equal_those_of_plain_scikit_learn(seed, offset):
    embeddings, labels, protocol = small_world(seed, offset=offset)
    kept = embeddings.copy()
    found = score(embeddings, labels, protocol)
    assert [row.task for row in found] == list(labels.tasks)
    np.testing.assert_array_equal(embeddings, kept)
    for row in found:
        expected = plain_score(embeddings, labels, protocol, row.task)
        for field, value in expected.items():
            assert getattr(row, field) == pytest.approx(value, abs=1e-6), (row.task, field)
        assert row.metric == ("F1" if labels.tasks[row.task].discrete else "MSE")
        assert row.sequence_level == (row.task in protocol.sequence_level)
    # the cases are what their names say
    by_name = {row.task: row for row in found}
    assert by_name["absent"].private == 0
    assert 0.6 < by_name["frame_class"].private < 1
    assert by_name["frame_class"].private != pytest.approx(by_name["frame_class"].no_ensemble, abs=1e-6)
    assert by_name["kind"].pooled != by_name["kind"].private


def test_the_order_of_the_clips_in_the_splits_to_score_on_does_not_matter():
    embeddings, labels, protocol = small_world(6)
    turned = protocol._replace(public=protocol.public[::-1], private=protocol.private[::-1])
    for one, other in zip(score(embeddings, labels, protocol), score(embeddings, labels, turned), strict=True):
        np.testing.assert_allclose([one.private, one.public, one.pooled], [other.private, other.public, other.pooled])
    (row,) = score(embeddings, labels, protocol._replace(tasks=["number"], seeds=(42,)))
    assert row.no_ensemble == row.private


def test_a_task_without_labels_to_learn_from_is_refused_and_one_without_labels_to_score_is_nan():
    embeddings, labels, protocol = small_world(8)
    nothing = Task(np.full(len(embeddings), NAN, np.float32), False)
    with pytest.raises(ValueError, match="empty has no labelled frame"):
        score(embeddings, labels._replace(tasks={"empty": nothing}), protocol._replace(tasks=["empty"]))
    values = labels.tasks["number"].values.copy()
    for clip in (*protocol.public, *protocol.private):
        values[slice(*labels.rows[clip])] = NAN
    unseen = labels._replace(tasks={"unseen": Task(values, False)})
    (row,) = score(embeddings, unseen, protocol._replace(tasks=["unseen"]))
    assert np.isnan([row.private, row.public, row.no_ensemble]).all()


def test_tasks_of_single_flies_become_one_row_and_a_task_listed_twice_two():
    embeddings, labels, protocol = small_world(9)
    source = ["frame_class", "gaps", "kind"]
    tasks = {f"chase_singletask_fly_{i}": labels.tasks[name] for i, name in enumerate(source)}
    tasks |= {name: labels.tasks[name] for name in ("kind", "number")}
    protocol = protocol._replace(
        tasks=["kind", *list(tasks)[:3], "number", "kind"], sequence_level=frozenset({"chase_singletask_fly_0"})
    )
    found = score(embeddings, labels._replace(tasks=tasks), protocol)
    assert [row.task for row in found] == ["kind", "chase", "number", "kind"]
    assert found[0] == found[3]
    apart = [plain_score(embeddings, labels._replace(tasks=tasks), protocol, name) for name in protocol.tasks[1:4]]
    for field in ("private", "public", "no_ensemble"):
        assert getattr(found[1], field) == pytest.approx(np.mean([row[field] for row in apart]))
    assert found[1].pooled == pytest.approx(apart[0]["pooled"])
    assert found[1].sequence_level


@pytest.mark.skipif(not MABE.exists(), reason="needs the real metadata in ../shared")
@pytest.mark.parametrize(
    ("splits", "tasks", "frames", "clips", "listed", "rows"),
    [
        ("jax_split.json", "jax_tasks.json", "mouse_frame_number_map.npy", (2668, 533, 535), 13, 13),
        ("flies_split.json", "fly_tasks.json", "flies_frame_number_map.npy", (217, 147, 179), 101, 50),
    ],
)
def test_the_real_splits_and_tasks_are_read_and_scored(splits, tasks, frames, clips, listed, rows):
    ids = list(mabe_files.read_frame_map(MABE / frames))
    names = json.loads((MABE / tasks).read_text())["task_id_list"]
    rng = np.random.default_rng(0)
    values = {name: Task(rng.integers(0, 2, 4 * len(ids)).astype(np.float32), True) for name in names}
    labels = Labels(mabe_files.frame_map(ids, [4] * len(ids)), values)
    protocol = read_protocol(MABE / splits, MABE / tasks, labels)
    assert (len(protocol.train), len(protocol.public), len(protocol.private)) == clips
    assert (len(protocol.tasks), protocol.seeds) == (listed, (42, 43, 44))
    assert set(ids) == {*protocol.train, *protocol.public, *protocol.private}
    table = score(rng.normal(size=(4 * len(ids), 3)).astype(np.float32), labels, protocol)
    assert len(table) == rows and all(0 <= row.private <= 1 for row in table)


# --- files -------------------------------------------------------------------------------------


def test_files_come_back_as_they_were_written(tmp_path):
    embeddings, labels, protocol = small_world()
    found = read_labels(mabe_files.write_labels(tmp_path / "labels.npy", labels.rows, labels.tasks))
    assert found.rows == labels.rows
    for name, (values, discrete) in labels.tasks.items():
        np.testing.assert_array_equal(found.tasks[name].values, values)
        assert found.tasks[name].discrete == discrete
    splits = {"SubmissionTrain": protocol.train, "publicTest": protocol.public, "privateTest": protocol.private}
    splits = files.write_json(tmp_path / "splits.json", splits)
    tasks = {"task_id_list": protocol.tasks, "sequence_level_tasks": sorted(protocol.sequence_level), "seeds": [1]}
    tasks = files.write_json(tmp_path / "tasks.json", tasks)
    assert read_protocol(splits, tasks, found) == protocol._replace(seeds=(1,))
    path = mabe_files.write_submission(tmp_path / "s.npy", labels.rows, embeddings, labels.rows, 6)
    np.testing.assert_array_equal(read_submission(path, found.rows, 6), embeddings)


def labels_of(**changes) -> dict:
    content = {"frame_number_map": {"a": (0, 3), "b": (3, 5)}, "label_array": np.zeros((2, 5))}
    content |= {"vocabulary": ["x", "y"], "task_type": ["Discrete", "Continious"]}
    return {key: value for key, value in {**content, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (labels_of(label_array=np.zeros((2, 6))), "6 frames"),
        (labels_of(label_array=np.zeros(5)), "label_array"),
        (labels_of(vocabulary=["x"]), "1 names"),
        (labels_of(vocabulary=None), "vocabulary"),
        (labels_of(task_type=["Discrete", "Discreet"]), "Discreet"),
        (labels_of(frame_number_map=[1]), "frame_number_map"),
        (labels_of(frame_number_map={"a": (0, 3), "b": (2, 5)}), "row 3"),
        (labels_of(frame_number_map={"a": (0, 3), "b": (4, 5)}), "row 3"),
        (labels_of(frame_number_map={"a": 3}), "start, end"),
        (labels_of(frame_number_map={}), "its 0 clips have 0"),
        ({}, "frame_number_map"),
        (labels_of(label_array=None), "label_array"),
    ],
)
def test_a_label_file_that_does_not_fit_itself_is_refused(tmp_path, content, named):
    path = files.write_pickled_dict(tmp_path / "l.npy", content)
    with refused(named, path):
        read_labels(path)


def test_whole_numbers_and_a_task_named_twice_are_taken(tmp_path):
    array = np.array([[0, 1, 0, 1, 0], [5, 5, 5, 5, 5]])
    files.write_pickled_dict(tmp_path / "l.npy", labels_of(label_array=array, vocabulary=np.array(["x", "x"])))
    ((name, (values, discrete)),) = read_labels(tmp_path / "l.npy").tasks.items()
    assert (name, values.tolist(), discrete) == ("x", array[0].tolist(), True)


@pytest.mark.parametrize(
    ("split", "tasks", "named"),
    [
        ({"publicTest": ["a"]}, {}, "again in publicTest"),
        ({"privateTest": ["d", "d"]}, {}, "again in privateTest"),
        ({"UserTrain": ["d"]}, {}, "stands in UserTrain"),
        ({"privateTest": ["e"]}, {}, "e of privateTest is not in the labels"),
        ({"privateTest": []}, {}, "0 clips in privateTest"),
        ({"SubmissionTrain": ["a"]}, {}, "1 clips in SubmissionTrain"),
        ({"publicTest": "c"}, {}, "publicTest"),
        ({}, {"task_id_list": ["x", "z"]}, "the task z"),
        ({}, {"sequence_level_tasks": ["z"]}, "the task z"),
        ({}, {"task_id_list": []}, "no task"),
        ({}, {"task_id_list": None}, "task_id_list"),
        ({}, {"task_id_list": ["odd"]}, "odd"),
        ({}, {"task_id_list": ["infinite"]}, "infinite"),
        *(({}, {"seeds": seeds}, "'seeds' is not a list") for seeds in ([], ["42"], [-1], 42)),
    ],
)
def test_splits_and_tasks_that_do_not_fit_are_refused(tmp_path, split, tasks, named):
    good = np.zeros(8, np.float32)
    tasks_of = {"x": Task(good, True), "y": Task(good, False), "odd": Task(good + 2, True)}
    tasks_of["infinite"] = Task(good + np.inf, False)
    labels = Labels(mabe_files.frame_map("abcd", [2] * 4), tasks_of)
    good_split = {"SubmissionTrain": ["a", "b"], "publicTest": ["c"], "privateTest": ["d"]}
    splits = files.write_json(tmp_path / "s.json", good_split | split)
    good_tasks = {"task_id_list": ["x", "y"], "sequence_level_tasks": ["y"], "seeds": [1]}
    with refused(named):
        read_protocol(splits, files.write_json(tmp_path / "t.json", good_tasks | tasks), labels)


@pytest.mark.parametrize("text", [b"[1]", b"[" * 100_000, b"\xff", b"NaN"])
def test_what_is_not_a_json_object_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(ValueError, match=r"a\.json"):
        files.read_json(tmp_path / "a.json")


def test_table_has_the_public_column_names(tmp_path):
    rows = [
        Score("a_long_name", 0.25, 0.5, "F1", 0.125, -1.0, False),
        Score("b", 3.5, NAN, "MSE", 2.0, 1.0, True),
        Score("c", 0.75, 1.0, "F1", 0.5, 0.5, True),
    ]
    with write_scores(tmp_path / "t.csv", rows).open(newline="") as file:
        header, *found = csv.reader(file)
    assert tuple(header) == COLUMNS
    assert found[0] == ["a_long_name", "0.25", "0.5", "F1", "0.125", "-1.0", "False"]
    assert found[1] == ["b", "3.5", "nan", "MSE", "2.0", "1.0", "True"]
    lines = format_scores(rows).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[1].split() == ["a_long_name", "0.2500", "0.5000", "F1", "0.1250", "-1.0000", "False"]
    assert mean_f1(rows) == (0.5, 0.75)
    assert np.isnan(mean_f1(rows[1:2])).all()
    other = [row._replace(private=row.private / 2) for row in rows]
    header, first, *_, private, public = format_comparison({"mine": rows, "none": other}).splitlines()
    assert header.split() == ["private", "score", "metric", "mine", "none"]
    assert first.split() == ["a_long_name", "F1", "0.2500", "0.1250"]
    assert private.split() == ["mean,", "private", "F1", "0.5000", "0.2500"]
    assert public.split() == ["mean,", "public", "F1", "0.7500", "0.7500"]
