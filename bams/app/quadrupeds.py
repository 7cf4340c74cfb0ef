"""The quadruped robots of the paper: their file, and linear read-outs of its labels.

Axes: N sequences, T frames, 12 joints, C embedding channels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import train_test_split

from bams.readout.linear_eval import train_linear_classifier, train_linear_regressor
from bams.recordings.frames import as_float32
from bams.storage import files

JOINTS = 12
TRAIN_SHARE, SEED = 0.2, 42  # of the sequences for the read-out

# Which labels there are, and whether they are per frame.
_CLASSES = {"robot_type": False, "terrain_type": True}
_NUMBERS = {"command_vel": False, "terrain_slope": True, "terrain_difficulty": True}


class Label(NamedTuple):
    """One label: values (N,) or (N, T), int64 for classes (-1 = not labelled) or float32 (NaN = not labelled)."""

    values: np.ndarray
    discrete: bool


@dataclass(frozen=True)
class Robots:
    """What the file holds.

    Attributes:
        positions: (N, T, 12) float32, radians.
        velocities: (N, T, 12) float32, radians per second.
        labels: by name; a vector is one label per number (command_vel_0, ...).
        axes: 'sequence, time, feature' or 'sequence, feature, time', as found in the file.
    """

    positions: np.ndarray
    velocities: np.ndarray
    labels: dict[str, Label]
    axes: str


class Score(NamedTuple):
    """One row of the table: the score of a label read out of an embedding, and of how many rows."""

    label: str
    level: str
    metric: str
    embedding: str
    score: float
    train: int
    test: int


def load_robots(path: str | Path) -> Robots:
    """Read `robot_dataset.npy`, a pickled dict.

    `dof_pos` and `dof_vel`: (N, T, 12) or (N, 12, T); `robot_type` (N,) and `terrain_type` (N, T): numbers or
    words; `command_vel` (N, any); `terrain_slope` and `terrain_difficulty` (N, T). Other keys are not used.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: something is missing, of other axes, or infinite.
    """
    content = files.read_pickled_dict(path)
    needed = ("dof_pos", "dof_vel", *_CLASSES, *_NUMBERS)
    missing = [name for name in needed if name not in content]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}; it has {', '.join(map(str, content)) or 'nothing'}")
    arrays = {name: np.asarray(content[name]) for name in needed}
    positions, axes = _joints(arrays["dof_pos"], f"{path}: dof_pos")
    velocities, other = _joints(arrays["dof_vel"], f"{path}: dof_vel")
    if positions.shape != velocities.shape or axes != other:
        raise ValueError(
            f"{path}: dof_pos has axes {arrays['dof_pos'].shape}, dof_vel {arrays['dof_vel'].shape}; they must be "
            "the same"
        )
    labels: dict[str, Label] = {}
    for name, per_frame in (_CLASSES | _NUMBERS).items():
        values = _label_axes(arrays[name], positions.shape, per_frame, f"{path}: {name}")
        discrete = name in _CLASSES
        columns = [values] if per_frame or discrete or values.shape[1] == 1 else list(values.T)
        for i, column in enumerate(columns):
            column = column.reshape(positions.shape[: 2 if per_frame else 1])
            found = _as_classes(column, f"{path}: {name}") if discrete else _as_numbers(column, f"{path}: {name}")
            labels[name if len(columns) == 1 else f"{name}_{i}"] = Label(found, discrete)
    return Robots(positions, velocities, labels, axes)


def read_out_split(sequences: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the sequences on which read-outs are trained (20 %), and of those on which they are scored.

    Raises:
        ValueError: too few sequences.
    """
    if sequences * TRAIN_SHARE < 2:
        raise ValueError(f"{sequences} sequences are too few to train read-outs on a fifth of them: 10 are needed")
    train, test = train_test_split(np.arange(sequences), test_size=1 - TRAIN_SHARE, random_state=SEED)
    return train, test


def read_out_labels(embeddings: Mapping[str, np.ndarray], labels: Mapping[str, Label], step: int = 1) -> list[Score]:
    """Linear read-outs of every label from every embedding, on the split of the paper.

    Labels of a sequence are read out of the embedding's mean over time. Classes: macro F1 over those in the
    test part, of a class-balanced ridge classifier; numbers: R2 of a ridge regression; both standardised on the
    training part.

    Args:
        embeddings: by name (N, T, C) float32, finite.
        labels: by name.
        step: of labels per frame, every so many frames are read out.
    """
    some = next(iter(embeddings.values()))
    parts = read_out_split(len(some))
    check_labels(labels, *parts, step)
    means = {name: embedding.mean(axis=1) for name, embedding in embeddings.items()}
    scores = []
    for label, (values, discrete) in labels.items():
        per_frame = values.ndim == 2
        table = values[:, ::step] if per_frame else values
        known = table >= 0 if discrete else np.isfinite(table)
        rows = [(part[:, None], np.arange(0, some.shape[1], step)) if per_frame else part for part in parts]
        keep = [known[part] for part in parts]
        targets = [table[part][mask] for part, mask in zip(parts, keep, strict=True)]
        for name in embeddings:
            source = embeddings[name] if per_frame else means[name]
            train, test = (
                (source[chosen][mask], target) for chosen, mask, target in zip(rows, keep, targets, strict=True)
            )
            score = _read_out(train, test, discrete)
            level, metric = "frame" if per_frame else "sequence", "F1" if discrete else "R2"
            scores.append(Score(label, level, metric, name, score, len(train[1]), len(test[1])))
    return scores


def check_labels(labels: Mapping[str, Label], train: np.ndarray, test: np.ndarray, step: int = 1) -> None:
    """Raise ValueError unless every label can be read out; `train` and `test` are from `read_out_split`."""
    for name, (values, discrete) in labels.items():
        table = values[:, ::step] if values.ndim == 2 else values
        known = [part[part >= 0] if discrete else part[np.isfinite(part)] for part in (table[train], table[test])]
        if not all(part.size for part in known):
            raise ValueError(f"the label {name} has no value in the training or the test part of the sequences")
        if discrete and len(np.unique(known[0])) < 2:
            raise ValueError(f"the label {name} has fewer than two classes in the training part of the sequences")


def _read_out(train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], discrete: bool) -> float:
    """Macro F1 or R2 on `test` of a linear read-out trained on `train`, both (features, targets)."""
    if discrete:
        return train_linear_classifier(train, test).scores["macro F1"]
    return train_linear_regressor(train, test).scores["R2"]


def table_of(scores: Sequence[Score]) -> str:
    """Scores as text: one row per label, one column per embedding."""
    names = list(dict.fromkeys(score.embedding for score in scores))
    found = {(score.label, score.embedding): score for score in scores}
    lines = [f"{'label':22}{'level':10}{'score':7}" + "".join(f"{name:>12}" for name in names)]
    for label in dict.fromkeys(score.label for score in scores):
        first = found[label, names[0]]
        cells = "".join(f"{found[label, name].score:12.3f}" for name in names)
        lines.append(f"{label:22}{first.level:10}{first.metric:7}{cells}")
    return "\n".join(lines)


def write_scores(path: str | Path, scores: Sequence[Score]) -> Path:
    """Write scores as CSV, whole or not at all."""
    rows = [",".join(Score._fields), *(",".join(map(str, score)) for score in scores)]
    with files.atomic_write(path) as file:
        file.write(("\n".join(rows) + "\n").encode())
    return Path(path)


def _joints(array: np.ndarray, where: str) -> tuple[np.ndarray, str]:
    """(N, T, 12) float32 and how the axes lay."""
    if array.ndim != 3 or JOINTS not in array.shape[1:] or 0 in array.shape or array.dtype.kind not in "fiu":
        raise ValueError(
            f"{where} has axes {array.shape} of {array.dtype}; expected (N, T, {JOINTS}) or (N, {JOINTS}, T)"
        )
    if array.shape[1] == array.shape[2]:
        raise ValueError(f"{where} has axes {array.shape}: which of them is time cannot be told")
    last = array.shape[2] == JOINTS
    found = np.ascontiguousarray(as_float32(array if last else array.swapaxes(1, 2)))
    if not np.isfinite(found).all():
        raise ValueError(f"{where} holds NaN or infinite values")
    return found, "sequence, time, feature" if last else "sequence, feature, time"


def _label_axes(array: np.ndarray, shape: Sequence[int], per_frame: bool, where: str) -> np.ndarray:
    """The array as (N, T), or as (N, numbers) if not per frame."""
    sequences, frames = shape[:2]
    if per_frame and array.size == sequences * frames and len(array) == sequences:
        return array.reshape(sequences, frames)
    if not per_frame and 1 <= array.ndim <= 2 and len(array) == sequences and array.size:
        return array.reshape(sequences, -1)
    expected = f"({sequences}, {frames})" if per_frame else f"({sequences},) or ({sequences}, numbers)"
    raise ValueError(f"{where} has axes {array.shape}; expected {expected}, as dof_pos has")


def _as_classes(values: np.ndarray, where: str) -> np.ndarray:
    """Classes as int64 from 0; negative numbers and NaN mean not labelled."""
    if values.dtype.kind in "fiub":
        known = np.isfinite(values) & (values >= 0)
        found = np.full(values.shape, -1, np.int64)
        found[known] = np.unique(values[known], return_inverse=True)[1]
        return found
    if values.dtype.kind not in "USO":
        raise ValueError(f"{where} is of type {values.dtype}; expected numbers or words")
    return np.unique(values.astype(str), return_inverse=True)[1].reshape(values.shape).astype(np.int64)


def _as_numbers(values: np.ndarray, where: str) -> np.ndarray:
    if values.dtype.kind not in "fiub":
        raise ValueError(f"{where} is of type {values.dtype}; expected numbers")
    found = as_float32(values)
    if np.isinf(found).any():
        raise ValueError(f"{where} holds infinite values")
    return found
