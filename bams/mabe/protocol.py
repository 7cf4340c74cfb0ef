"""Read what the evaluator of MABe 2022 reads: submissions, labels, splits and tasks, checked against each other."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bams.mabe import files as mabe_files
from bams.mabe.files import SEEDS, FrameMap, Task
from bams.storage import files

SPLITS = ("SubmissionTrain", "publicTest", "privateTest")


class Labels(NamedTuple):
    """A label file: the rows of each clip, and the tasks by name."""

    rows: FrameMap
    tasks: dict[str, Task]


class Protocol(NamedTuple):
    """The clips to train and to score on, and the tasks."""

    train: list[str]
    public: list[str]
    private: list[str]
    tasks: list[str]
    sequence_level: frozenset[str]
    seeds: tuple[int, ...] = SEEDS


def read_submission(path: str | Path, expected: FrameMap, most_columns: int) -> np.ndarray:
    """The embeddings (frames, C) float32 of a submission; ValueError where the public evaluator would refuse it."""
    content = files.read_pickled_dict(path)
    rows, embeddings = content.get("frame_number_map"), content.get("embeddings")
    if not isinstance(rows, dict) or not isinstance(embeddings, np.ndarray):
        raise ValueError(f"{path} has no 'frame_number_map' and 'embeddings': is it a submission?")
    try:
        mabe_files.check_submission(rows, embeddings, expected, most_columns)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return embeddings


def read_labels(path: str | Path) -> Labels:
    """Read a label file; if a task is named twice, the first counts. ValueError if the file is malformed."""
    content = files.read_pickled_dict(path)
    rows = mabe_files.as_frame_map(content.get("frame_number_map"), f"frame_number_map of {path}")
    names, kinds = (_names(content, key, path) for key in ("vocabulary", "task_type"))
    array = content.get("label_array")
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "biuf":
        raise ValueError(f"{path}: label_array is not an array of numbers with axes (tasks, frames)")
    if not len(array) == len(names) == len(kinds):
        raise ValueError(f"{path} has {len(array)} rows of labels, {len(names)} names and {len(kinds)} kinds")
    frames = max((end for _, end in rows.values()), default=0)
    if not rows or array.shape[1] != frames:
        raise ValueError(f"{path} has labels of {array.shape[1]} frames, but its {len(rows)} clips have {frames}")
    unknown = sorted(set(kinds) - {"Discrete", "Continious", "Continuous"})
    if unknown:
        raise ValueError(f"{path}: task_type {unknown[0]!r} is neither 'Discrete' nor 'Continious'")
    tasks: dict[str, Task] = {}
    for name, values, kind in zip(names, array, kinds, strict=True):
        tasks.setdefault(str(name), Task(values, kind == "Discrete"))
    return Labels(rows, tasks)


def read_protocol(splits: str | Path, tasks: str | Path, labels: Labels) -> Protocol:
    """Read the split file and the task file; ValueError if they are malformed or do not fit the labels."""
    parts = _read_splits(splits, labels.rows)
    content = files.read_json(tasks)
    ids, whole = (_names(content, key, tasks) for key in ("task_id_list", "sequence_level_tasks"))
    if not ids:
        raise ValueError(f"{tasks} names no task")
    for name in (*ids, *whole):
        if name not in labels.tasks:
            raise ValueError(f"{tasks} names the task {name}, which is not in the labels")
    for name in ids:
        values, discrete = labels.tasks[name]
        if discrete and not ((values == 0) | (values == 1) | np.isnan(values)).all():
            raise ValueError(f"the labels of {name} are neither 0, 1 nor NaN")
        if np.isinf(values).any():
            raise ValueError(f"the labels of {name} hold infinite values")
    seeds = content.get("seeds", list(SEEDS))
    if not isinstance(seeds, list) or not seeds or not all(type(s) is int and 0 <= s < 2**32 for s in seeds):
        raise ValueError(f"{tasks}: 'seeds' is not a list of whole numbers of at least 0")
    return Protocol(*parts, ids, frozenset(whole), tuple(seeds))


def _read_splits(path: str | Path, rows: FrameMap) -> list[list[str]]:
    content = files.read_json(path)
    parts = {key: _names(content, key, path) for key in SPLITS}
    seen = dict.fromkeys(_names(content, "UserTrain", path) if "UserTrain" in content else (), "UserTrain")
    for (key, names), least in zip(parts.items(), (2, 1, 1), strict=True):
        if len(names) < least:
            raise ValueError(f"{path} has {len(names)} clips in {key}; it needs at least {least}")
        for name in names:
            if name in seen:
                raise ValueError(f"{path}: clip {name} stands in {seen[name]} and again in {key}")
            if name not in rows:
                raise ValueError(f"{path}: clip {name} of {key} is not in the labels")
            seen[name] = key
    return list(parts.values())


def _names(content: dict[str, Any], key: str, path: str | Path) -> list[str]:
    value = content.get(key)
    if not isinstance(value, list | tuple | np.ndarray) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"{path} has no '{key}', a list of names: is it a file of MABe 2022?")
    return list(value)
