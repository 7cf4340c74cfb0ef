"""Labels of recordings and tracks, checked once.

Axes: S recordings, A individuals, N tracks (N = S*A, S-major), T frames.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LARGEST = 2**53  # up to which float64 holds each whole number
TAGS = ("classification_tags", "regression_tags")
EVAL_UTILS = (*TAGS, "sequence_level_dict", "class_names", "ignore_classes", "padded_frames")


@dataclass(frozen=True)
class Label:
    """One label.

    Attributes:
        name: its name.
        values: of S recordings or N tracks, each (T_i,) per frame or a number; int64 classes with -1 = not
            labelled, or float64 measures with NaN = not labelled.
        class_names: names of class 0, 1, ..., as far as known; None for a measure.
        sequence_level: whether there is one value for all frames.
        per_recording: whether `values` are of S recordings; else of N tracks.
    """

    name: str
    values: list[np.ndarray]
    class_names: list[str] | None
    sequence_level: bool
    per_recording: bool


@dataclass(frozen=True)
class Annotations:
    """All labels of the tracks of a data set.

    Attributes:
        labels: each of them.
        groups: S names; recordings with the same name are never on both sides of a read-out.
        individuals: A.
    """

    labels: list[Label]
    groups: list[str]
    individuals: int

    def of_tracks(self, lengths: Sequence[int]) -> dict[str, list[np.ndarray]]:
        """By name, N entries: (T_i,) of tracks of these lengths, or a number."""
        each = self.individuals
        found = {}
        for label in self.labels:
            rows = [label.values[i // each if label.per_recording else i] for i in range(len(lengths))]
            cut = [row if label.sequence_level else row[:n] for row, n in zip(rows, lengths, strict=True)]
            found[label.name] = cut
        return found


def as_annotations(
    annotations: Mapping[str, Any],
    eval_utils: Mapping[str, Any],
    lengths: Sequence[int],
    *,
    individuals: int = 1,
) -> Annotations:
    """Check annotations against the tracks, and bring them into one form.

    Args:
        annotations: by label name, S or N entries (also (S, A)): a number each, or per frame (T,), of the
            recording's frames or of the padded ones; classes are whole numbers, -1 or NaN = not labelled;
            `video_name`, if given, S or N names: recordings of the same name are held out together.
        eval_utils: `classification_tags` and `regression_tags`, names of labels; `sequence_level_dict`, by name
            whether a label is of the whole recording (per frame unless said); if wanted `class_names`, by label,
            `ignore_classes`, to be taken for not labelled: label:class, several joined by commas; and
            `padded_frames`, of padded label arrays, which are cut to the recordings.
        lengths: N, frames of each track.
        individuals: A.

    Raises:
        ValueError: a label that only one of the two names, or of another length, or that is not of its kind.
    """
    _check_names(annotations, eval_utils)
    if len(lengths) % individuals:
        raise ValueError(f"{len(lengths)} tracks are not recordings of {individuals} individuals each")
    longest = np.reshape(lengths, (-1, individuals)).max(axis=1)
    counts = len(longest), len(lengths)
    padded_frames = eval_utils.get("padded_frames")
    labels = {}
    for name in (name for tag in TAGS for name in eval_utils.get(tag, ())):
        whole = bool(eval_utils.get("sequence_level_dict", {}).get(name, False))
        classes = name in eval_utils.get("classification_tags", ())
        rows = _rows(name, annotations[name], counts, 1 if whole else 2)
        per_recording = len(rows) == counts[0]
        if not whole:
            frames = longest if per_recording else np.asarray(lengths)
            rows = [_cut(name, np.asarray(row), int(n), padded_frames) for row, n in zip(rows, frames, strict=True)]
        values = [as_classes(row, name) if classes else as_measures(row, name) for row in rows]
        names = [str(n) for n in eval_utils.get("class_names", {}).get(name, ())] if classes else None
        if len(set(names or ())) < len(names or ()):
            raise ValueError(f"{name} has two classes of the same name: {', '.join(names)}; name each its own")
        labels[name] = Label(name, values, names, whole, per_recording)
    _ignore_classes(labels, eval_utils.get("ignore_classes", ""))
    groups = [f"recording{i}" for i in range(counts[0])]
    if "video_name" in annotations:
        given = _rows("video_name", np.asarray(annotations["video_name"]).astype(str), counts, 1)
        groups = [str(given[i * len(given) // counts[0]]) for i in range(counts[0])]
    return Annotations(list(labels.values()), groups, individuals)


def annotations_of(arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, Any]]:
    """`annotations` and `eval_utils` from the arrays of an `.npz`.

    Args:
        arrays: `labels_X` per frame, `seq_labels_X` per recording or track, and `labels_X_names` or
            `seq_labels_X_names`, the names of the classes; all others are passed over, but `recording_ids` become
            the names of the recordings. A label with names or of whole numbers (int, bool) is of classes, any
            other (float) a measure.

    Raises:
        ValueError: there is no label, names without their label, or two labels of one name.
    """
    annotations: dict[str, Any] = {}
    utils: dict[str, Any] = {"classification_tags": [], "regression_tags": []}
    utils |= {"sequence_level_dict": {}, "class_names": {}}
    starts = ("labels_", "seq_labels_")
    keys = [key for key in arrays if key.startswith(starts)]
    for key in keys:
        if key.endswith("_names"):
            if key.removesuffix("_names") not in keys:
                raise ValueError(f"there is an array {key}, but none named {key.removesuffix('_names')}")
            continue
        whole = key.startswith("seq_")
        name = key.removeprefix("seq_").removeprefix("labels_")
        if name in annotations:
            raise ValueError(f"both labels_{name} and seq_labels_{name} are given: give one of them another name")
        if not name:
            raise ValueError(f"the array {key} has no label's name: call it {key}X, for the label X")
        names = arrays.get(f"{key}_names")
        classes = names is not None or arrays[key].dtype.kind in "iub"
        annotations[name] = arrays[key]
        utils[TAGS[0] if classes else TAGS[1]].append(name)
        utils["sequence_level_dict"][name] = whole
        if names is not None:
            utils["class_names"][name] = names.astype(str).tolist()
    if not annotations:
        raise ValueError(
            f"no labels in it: the arrays are {', '.join(arrays) or 'none'}; expected labels_X (per frame) or "
            "seq_labels_X (per recording)"
        )
    if np.ndim(arrays.get("keypoints")) > 2:
        utils["padded_frames"] = arrays["keypoints"].shape[-3 if arrays["keypoints"].ndim > 3 else -2]
    if "recording_ids" in arrays:
        annotations["video_name"] = arrays["recording_ids"].astype(str).tolist()
    return annotations, utils


def as_classes(values: np.ndarray, name: str = "label") -> np.ndarray:
    """Whole numbers int64, any axes; -1 where not labelled (NaN, or below 0).

    Raises:
        ValueError: not numbers, or not whole ones.
    """
    values = np.asarray(values)
    if values.dtype.kind not in "fiub":
        raise ValueError(f"{name} is of type {values.dtype}; classes are whole numbers, -1 = not labelled")
    known = np.isfinite(values)
    exact = known & (np.abs(values.astype(np.float64)) <= LARGEST)
    classes = np.full(values.shape, -1)
    classes[exact] = values[exact]
    if (classes[known] != values[known]).any():
        raise ValueError(
            f"{name} holds numbers that are not whole, or above {LARGEST}, so it is a measure and not of classes"
        )
    return np.maximum(classes, -1)


def as_measures(values: np.ndarray, name: str = "label") -> np.ndarray:
    """Numbers float64, any axes; NaN where not labelled.

    Raises:
        ValueError: not numbers, or infinite.
    """
    values = np.asarray(values)
    if values.dtype.kind not in "fiub":
        raise ValueError(f"{name} is of type {values.dtype}; measures are numbers, NaN = not labelled")
    if np.isinf(values).any():
        raise ValueError(f"{name} holds infinite values; measures are finite, NaN = not labelled")
    return values.astype(np.float64)


def _check_names(annotations: Mapping[str, Any], eval_utils: Mapping[str, Any]) -> None:
    unknown = [name for name in eval_utils if name not in EVAL_UTILS]
    if unknown:
        raise ValueError(f"eval_utils has {unknown[0]}; it takes {', '.join(EVAL_UTILS)}")
    tagged = [name for tag in TAGS for name in eval_utils.get(tag, ())]
    given = [name for name in annotations if name != "video_name"]
    for name in tagged:
        if name not in given:
            raise ValueError(f"eval_utils names the label {name}, annotations do not; they have {', '.join(given)}")
        if tagged.count(name) > 1:
            raise ValueError(f"label {name} stands twice in the classification_tags and regression_tags")
    for name in given:
        if name not in tagged:
            raise ValueError(
                f"annotations have the label {name}, but neither classification_tags nor regression_tags name it"
            )
    for kind in ("sequence_level_dict", "class_names"):
        for name in eval_utils.get(kind, {}):
            if name not in tagged:
                raise ValueError(f"{kind} names the label {name}, which is not in annotations")


def _ignore_classes(labels: dict[str, Label], ignored: str) -> None:
    """Take classes for not labelled, as `ignored` says: label:class, by name or number, joined by commas."""
    for entry in filter(None, (part.strip() for part in ignored.split(","))):
        name, _, one = entry.rpartition(":")
        if name not in labels or labels[name].class_names is None:
            classed = [label.name for label in labels.values() if label.class_names is not None]
            raise ValueError(
                f"cannot ignore {entry}: expected label:class, of the labels {', '.join(classed) or '(none)'}"
            )
        label = labels[name]
        numbers = {int(v) for row in label.values for v in np.unique(row)} - {-1}
        known = {str(n): n for n in numbers} | {n: i for i, n in enumerate(label.class_names)}
        if one not in known:
            raise ValueError(f"cannot ignore {entry}: the classes of {name} are {', '.join(known) or '(none)'}")
        kept = [np.where(row == known[one], -1, row) for row in label.values]
        labels[name] = Label(name, kept, label.class_names, label.sequence_level, label.per_recording)


def _rows(name: str, values: Any, counts: tuple[int, int], axes: int) -> Sequence[Any]:
    """One entry for each recording or track."""
    recordings, tracks = counts
    if np.ndim(values[:1] if isinstance(values, list | tuple) else values) == 0:
        raise ValueError(f"{name} is one value; expected one for each recording, or each of its frames")
    if isinstance(values, np.ndarray) and values.shape[:2] == (recordings, tracks // recordings):
        values = values.reshape(tracks, *values.shape[2:]) if values.ndim == axes + 1 else values
    if len(values) not in counts:
        expected = f"{recordings} recordings" + (f" or {tracks} tracks" if tracks != recordings else "")
        raise ValueError(f"{name} has {len(values)} entries for {expected}")
    if any(np.ndim(row) != axes - 1 for row in values):
        kind = "one value per recording or track" if axes == 1 else "one value per frame of each recording or track"
        raise ValueError(f"{name} has entries with axes {np.shape(values[0])}; expected {kind}")
    return values


def _cut(name: str, row: np.ndarray, length: int, padded: int | None) -> np.ndarray:
    if len(row) not in (length, padded):
        wanted = f"{length}" + (f" (or {padded} with padding)" if padded not in (None, length) else "")
        raise ValueError(f"{name} has {len(row)} frames where the recording has {wanted}")
    return row[:length]
