"""The simulated quadruped robots of the paper: their file, and linear read-outs of its labels.

Axes: N sequences, T frames, 12 joints, C embedding channels.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import train_test_split

from bams.data.labels import Annotations, as_annotations
from bams.readout.linear_eval import train_linear_classifier, train_linear_regressor
from bams.readout.scores import LabelScores, Score, Table, aligned
from bams.recordings.frames import as_float32
from bams.storage import files

JOINTS, JOINT_ARRAYS = 12, ("dof_pos", "dof_vel")
TRAIN_SHARE, SEED = 0.2, 42  # share of the sequences that read-outs are trained on
CLASSES, MEASURES = ("robot_type", "terrain_type"), ("command_vel", "terrain_slope", "terrain_difficulty")


class Robots(NamedTuple):
    """The content of the file: (N, T, 12) float32, radians and radians per second, and the labels."""

    positions: np.ndarray
    velocities: np.ndarray
    annotations: Annotations
    axes: str  # of the arrays in the file


def load_robots(path: str | Path) -> Robots:
    """Read `robot_dataset.npy`, a pickled dict; ValueError if something is missing, infinite, or has other axes.

    `dof_pos` and `dof_vel`: (N, T, 12) or (N, 12, T); `robot_type` (N,) and `terrain_type` (N, T), numbers or words;
    `command_vel` (N, any), one label per column; `terrain_slope` and `terrain_difficulty` (N, T).
    """
    content = files.read_pickled_dict(path)
    missing = [name for name in (*JOINT_ARRAYS, *CLASSES, *MEASURES) if name not in content]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}; it has {', '.join(map(str, content)) or 'nothing'}")
    pos, vel, *values = (np.asarray(content[name]) for name in (*JOINT_ARRAYS, *CLASSES, *MEASURES))
    (positions, axes), (velocities, _) = _joints(pos, f"{path}: dof_pos"), _joints(vel, f"{path}: dof_vel")
    if pos.shape != vel.shape:
        raise ValueError(f"{path}: dof_pos has axes {pos.shape}, dof_vel {vel.shape}; they must be the same")
    labels, words = dict(zip((*CLASSES, *MEASURES), values, strict=True)), {}
    for name in CLASSES:
        if labels[name].dtype.kind in "USO":
            words[name], codes = np.unique(labels[name].astype(str), return_inverse=True)
            labels[name] = codes.reshape(labels[name].shape)
    if labels["command_vel"].ndim == 2 and labels["command_vel"].shape[1] > 1:
        labels |= {f"command_vel_{i}": column for i, column in enumerate(labels.pop("command_vel").T)}
    measures = [name for first in MEASURES for name in labels if name.startswith(first)]
    kinds = {"classification_tags": CLASSES, "regression_tags": measures, "class_names": words}
    kinds["sequence_level_dict"] = {name: name.startswith(("robot_type", "command_vel")) for name in labels}
    try:
        annotations = as_annotations(labels, kinds, [positions.shape[1]] * len(positions))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return Robots(positions, velocities, annotations, axes)


def read_out_split(sequences: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the sequences that read-outs are trained on (20 %), and of the others, that they are scored on."""
    if sequences * TRAIN_SHARE < 2:
        raise ValueError(f"{sequences} sequences are too few to train read-outs on a fifth of them: 10 are needed")
    return tuple(train_test_split(np.arange(sequences), test_size=1 - TRAIN_SHARE, random_state=SEED))


def read_out_labels(embeddings: Mapping[str, np.ndarray], annotations: Annotations, step: int = 1) -> Table:
    """Linear read-outs of every label from every embedding (N, T, C) float32, finite, on the split of the paper.

    Labels of sequences are read out of the mean over time, labels of frames out of every `step`-th frame. Without
    embeddings the labels are only checked: ValueError if one has too few values or classes.
    """
    parts, found = read_out_split(len(annotations.groups)), []
    means = {name: embedding.mean(axis=1, keepdims=True) for name, embedding in embeddings.items()}
    for label in annotations.labels:
        classes, table = label.class_names is not None, np.array(label.values).reshape(len(annotations.groups), -1)
        labelled = table >= 0 if classes else np.isfinite(table)
        known = [table[part, ::step][labelled[part, ::step]] for part in parts]
        if not all(map(len, known)):
            raise ValueError(f"label {label.name} has no value in the training or the test part of the sequences")
        if classes and len(np.unique(known[0])) < 2:
            raise ValueError(f"label {label.name} has fewer than two classes in the training part of the sequences")
        fit = partial(train_linear_classifier, class_names=label.class_names) if classes else train_linear_regressor
        rows = {}
        for name, embedding in (means if label.sequence_level else embeddings).items():
            features = (embedding[part, ::step].reshape(-1, embedding.shape[2]) for part in parts)
            train, test = zip(features, (table[part, ::step].ravel() for part in parts), strict=True)
            rows[name] = {metric: Score(value) for metric, value in fit(train, test).scores.items()}
        kind, level = "classification" if classes else "regression", "sequence" if label.sequence_level else "frame"
        counts = 1, len(table), sum(map(len, known)), int(labelled.sum())
        found.append(LabelScores(label.name, kind, level, rows, {}, label.class_names or [], *counts))
    return Table(found)


def table_of(table: Table) -> str:
    """Macro F1 or R2 as text: one row per label, one column per embedding."""
    cells = [["label", "level", "score", *table.labels[0].rows]]
    for label in table.labels:
        metric = "macro F1" if label.kind == "classification" else "R2"
        cells.append([label.label, label.level, metric, *(f"{row[metric].value:.3f}" for row in label.rows.values())])
    return aligned(cells)


def _joints(array: np.ndarray, where: str) -> tuple[np.ndarray, str]:
    """(N, T, 12) float32, and the order of the axes in the file."""
    if array.ndim != 3 or JOINTS not in array.shape[1:] or 0 in array.shape or array.dtype.kind not in "fiu":
        raise ValueError(f"{where} has axes {array.shape} of {array.dtype}; expected (N, T, 12) or (N, 12, T)")
    if array.shape[1] == array.shape[2]:
        raise ValueError(f"{where} has axes {array.shape}: which of them is time cannot be told")
    last = array.shape[2] == JOINTS
    found = np.ascontiguousarray(as_float32(array if last else array.swapaxes(1, 2)))
    if not np.isfinite(found).all():
        raise ValueError(f"{where} holds NaN or infinite values")
    return found, "sequence, time, feature" if last else "sequence, feature, time"
