"""Labels of recordings and tracks: checked once, and brought into one form.

Axes: S recordings, A individuals, N tracks (N = S*A, S-major), T frames.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

LARGEST = 2**53  # float64 holds all whole numbers up to this
TAGS = ("classification_tags", "regression_tags")
EVAL_UTILS = (*TAGS, "sequence_level_dict", "class_names", "ignore_classes", "padded_frames")


@dataclass(frozen=True)
class Label:
    """One label, with one value per recording or track if `sequence_level`, and else one per frame (T_i,)."""

    name: str
    values: list[np.ndarray]  # int64 classes, -1 = not labelled, or float64 measures, NaN = not labelled
    class_names: list[str] | None  # names of class 0, 1, ..., as far as known; None for a measure
    sequence_level: bool
    per_recording: bool  # the values are of S recordings, else of N tracks


@dataclass(frozen=True)
class Annotations:
    """All labels of a data set; recordings of the same group (S names) are held out of a read-out together."""

    labels: list[Label]
    groups: list[str]
    individuals: int

    def of_tracks(self, lengths: Sequence[int]) -> dict[str, list[np.ndarray]]:
        """By label, one entry for each of N tracks: (T_i,) of these lengths, or one number."""
        found = {}
        for label in self.labels:
            each = self.individuals if label.per_recording else 1
            rows = [label.values[i // each] for i in range(len(lengths))]
            found[label.name] = rows if label.sequence_level else [r[:n] for r, n in zip(rows, lengths, strict=True)]
        return found


def as_annotations(
    annotations: Mapping[str, Any], eval_utils: Mapping[str, Any], lengths: Sequence[int], *, individuals: int = 1
) -> Annotations:
    """Check annotations against tracks of these lengths (N,), and bring them into one form.

    Args:
        annotations: by label, S or N entries (also (S, A)): one number each, or one per frame of the recording or of
            the padded array; classes are whole numbers, -1 or NaN = not labelled. Optional `video_name`, S or N
            names: recordings with the same name are held out together.
        eval_utils: `classification_tags` and `regression_tags`, names of labels; `sequence_level_dict`, by label
            whether it has one value per recording (default: no). Optional `class_names`, by label; `ignore_classes`,
            label:class, joined by commas, which count as not labelled; `padded_frames` of padded label arrays.
    """
    _check_names(annotations, eval_utils)
    if len(lengths) % individuals:
        raise ValueError(f"{len(lengths)} tracks are not recordings of {individuals} individuals each")
    longest = np.reshape(lengths, (-1, individuals)).max(axis=1)
    counts = len(longest), len(lengths)
    labels = {}
    for name in (name for tag in TAGS for name in eval_utils.get(tag, ())):
        whole = bool(eval_utils.get("sequence_level_dict", {}).get(name, False))
        rows = _rows(name, annotations[name], counts, 1 if whole else 2)
        per_recording = len(rows) == counts[0]
        if not whole:
            frames, padded = longest if per_recording else lengths, eval_utils.get("padded_frames")
            for found, n in ((len(row), int(n)) for row, n in zip(rows, frames, strict=True)):
                if found not in (n, padded):
                    wanted = f"{n}" + (f" (or {padded} with padding)" if padded not in (None, n) else "")
                    rate = "" if 0.9 < found / n < 1.1 else f", {found / n:.3g} labels for each frame"
                    said = f"{name} has {found} frames where the recording has {wanted}{rate}"
                    raise ValueError(f"{said}; give a label for each frame, at the rate of the keypoints")
            rows = [np.asarray(row)[:n] for row, n in zip(rows, frames, strict=True)]
        classes = name in eval_utils.get("classification_tags", ())
        values = [as_classes(row, name) if classes else as_measures(row, name) for row in rows]
        names = [str(n) for n in eval_utils.get("class_names", {}).get(name, ())]
        if len(set(names)) < len(names):
            raise ValueError(f"{name} has two classes of the same name: {', '.join(names)}; give each its own name")
        labels[name] = Label(name, values, names if classes else None, whole, per_recording)
    _ignore_classes(labels, eval_utils.get("ignore_classes", ""))
    groups = [f"recording{i}" for i in range(counts[0])]
    if "video_name" in annotations:
        given = _rows("video_name", np.asarray(annotations["video_name"]).astype(str), counts, 1)
        groups = [str(name) for name in given[:: len(given) // counts[0]]]
    return Annotations(list(labels.values()), groups, individuals)


def annotations_of(arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, Any]]:
    """`annotations` and `eval_utils` from the arrays of an `.npz`.

    These are `labels_X` per frame, `seq_labels_X` per recording or track, each with optional names of the classes
    `labels_X_names`; and `recording_ids`. Labels of text, of type int or bool, with class names, or whose numbers are
    all whole and from -1 to 19 are of classes; others are measures.
    """
    annotations: dict[str, Any] = {}
    utils: dict[str, Any] = {TAGS[0]: [], TAGS[1]: [], "sequence_level_dict": {}, "class_names": {}}
    keys = [key for key in arrays if key.startswith(("labels_", "seq_labels_"))]
    for key in keys:
        if key.endswith("_names"):
            if key.removesuffix("_names") not in keys:
                raise ValueError(f"there is an array {key}, but none named {key.removesuffix('_names')}")
            continue
        name = key.removeprefix("seq_").removeprefix("labels_")
        if not name:
            raise ValueError(f"the array {key} does not name a label: call it {key}X for a label X")
        if name in annotations:
            raise ValueError(f"both labels_{name} and seq_labels_{name} are given: give one of them another name")
        annotations[name], names = arrays[key], arrays.get(f"{key}_names")
        names = None if names is None else names.astype(str).tolist()
        if arrays[key].dtype.kind in "USO":
            (annotations[name],), names = text_classes([arrays[key]], names, name)
        utils[TAGS[names is None and not _are_classes(arrays[key])]].append(name)
        utils["sequence_level_dict"][name] = key.startswith("seq_")
        if names is not None:
            utils["class_names"][name] = names
    if not annotations:
        there = ", ".join(arrays) or "none"
        raise ValueError(f"no labels in it: the arrays are {there}; expected labels_X or seq_labels_X (per recording)")
    if np.ndim(arrays.get("keypoints")) > 2:
        utils["padded_frames"] = arrays["keypoints"].shape[-3 if arrays["keypoints"].ndim > 3 else -2]
    if "recording_ids" in arrays:
        annotations["video_name"] = arrays["recording_ids"].astype(str).tolist()
    return annotations, utils


def text_classes(
    rows: Sequence[np.ndarray], names: Sequence[str] | None = None, label: str = "label"
) -> tuple[list[np.ndarray], list[str]]:
    """Text of any axes as int64 classes, -1 = not labelled ('' or 'nan'), and the names of the classes, sorted.

    ValueError if `names` are given, and a text is not one of them.
    """
    texts = [np.char.decode(row, "utf-8") if row.dtype.kind == "S" else row.astype(str) for row in rows]
    texts = [np.char.strip(text) for text in texts]
    found = sorted({str(one) for text in texts for one in np.unique(text)} - {"", "nan"})
    names = found if names is None else list(names)
    if unknown := [one for one in found if one not in names]:
        raise ValueError(f"{label} has the class {unknown[0]}; its names are {', '.join(names)}")
    classes = []
    for text in texts:
        values, index = np.unique(text, return_inverse=True)
        numbers = [names.index(one) if one in names else -1 for one in values]
        classes.append(np.array(numbers, np.int64)[index].reshape(text.shape))
    return classes, names


def _are_classes(values: np.ndarray) -> bool:
    """Whether numbers are classes, not a measure: integers, or floats that are whole, from -1 to 19, or NaN."""
    if values.dtype.kind != "f":
        return values.dtype.kind in "iub"
    known = values[~np.isnan(values)]
    return known.size > 0 and known.min() >= -1 and known.max() < 20 and bool((known == np.floor(known)).all())


def as_classes(values: np.ndarray, name: str = "label") -> np.ndarray:
    """Whole numbers of any axes as int64; -1 = not labelled (NaN or below 0). ValueError if they are anything else."""
    numbers = _numbers(values, name, "classes are whole numbers, -1 = not labelled")
    known = np.isfinite(numbers)
    if ((numbers[known] % 1 != 0) | (np.abs(numbers[known]) > LARGEST)).any():
        raise ValueError(f"{name} holds numbers that are not whole or above {LARGEST}: it is a measure, not classes")
    return np.where(known & (numbers >= 0), numbers, -1).astype(np.int64)


def as_measures(values: np.ndarray, name: str = "label") -> np.ndarray:
    """Numbers of any axes as float64; NaN = not labelled. ValueError if they are no numbers, or beyond float32."""
    numbers = _numbers(values, name, "measures are numbers, NaN = not labelled")
    if (np.abs(numbers) > np.finfo(np.float32).max).any():
        raise ValueError(f"{name} holds infinite values, or values beyond float32; measures are finite")
    return numbers


def _numbers(values: np.ndarray, name: str, expected: str) -> np.ndarray:
    values = np.asarray(values)
    if values.dtype.kind not in "fiub":
        raise ValueError(f"{name} is of type {values.dtype}; {expected}")
    return values.astype(np.float64)


def _check_names(annotations: Mapping[str, Any], eval_utils: Mapping[str, Any]) -> None:
    for key in eval_utils:
        if key not in EVAL_UTILS:
            raise ValueError(f"eval_utils has {key}; it takes {', '.join(EVAL_UTILS)}")
    tagged = [name for tag in TAGS for name in eval_utils.get(tag, ())]
    given = [name for name in annotations if name != "video_name"]
    named = {"annotations": given, "eval_utils": tagged}
    named |= {key: eval_utils.get(key, {}) for key in ("sequence_level_dict", "class_names")}
    for place, names in named.items():
        for name in names:
            if name not in given or name not in tagged:
                needed = "it must be in annotations and in classification_tags or regression_tags"
                raise ValueError(f"{place} names the label {name}; {needed}")
            if tagged.count(name) > 1:
                raise ValueError(f"label {name} stands twice in classification_tags and regression_tags; name it once")


def _ignore_classes(labels: dict[str, Label], ignored: str) -> None:
    """Treat classes as not labelled: label:class, by the class's name or number, joined by commas."""
    for entry in filter(None, (part.strip() for part in ignored.split(","))):
        name, _, one = entry.rpartition(":")
        if name not in labels or labels[name].class_names is None:
            names = ", ".join(label.name for label in labels.values() if label.class_names is not None) or "(none)"
            raise ValueError(f"cannot ignore {entry}: expected label:class, of the labels {names}")
        label = labels[name]
        numbers = {int(v) for row in label.values for v in np.unique(row)} - {-1}
        known = {str(n): n for n in numbers} | {n: i for i, n in enumerate(label.class_names)}
        if one not in known:
            raise ValueError(f"cannot ignore {entry}: the classes of {name} are {', '.join(known) or '(none)'}")
        labels[name] = replace(label, values=[np.where(row == known[one], -1, row) for row in label.values])


def _rows(name: str, values: Any, counts: tuple[int, int], axes: int) -> Sequence[Any]:
    """One entry per recording or per track."""
    recordings, tracks = counts
    if np.ndim(values[:1] if isinstance(values, list | tuple) else values) == 0:
        raise ValueError(f"{name} is one value; expected one per recording, or one per frame of each")
    if isinstance(values, np.ndarray) and values.ndim > axes and values.shape[:2] == (recordings, tracks // recordings):
        values = values.reshape(tracks, *values.shape[2:])
    if len(values) not in counts:
        expected = f"{recordings} recordings" + (f" or {tracks} tracks" if tracks != recordings else "")
        raise ValueError(f"{name} has {len(values)} entries for {expected}; its first axis must be these")
    if any(np.ndim(row) != axes - 1 for row in values):
        kind = "one value each" if axes == 1 else "one value per frame, such as the number of its class"
        raise ValueError(f"{name} has entries with axes {np.shape(values[0])}; expected {kind}")
    return values
