"""Read and write the files of MABe 2022: sequences, frame maps, labels and submissions.

A sequences file is a pickled dict in `.npy`: {'sequences': {clip id: {'keypoints': (T, A, K, 2)}}}.
A frame map {clip id: (start, end)} gives the rows of labels or embeddings that belong to a clip.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bams.storage import files

SEEDS = (42, 43, 44)  # of the evaluator's read-outs
FrameMap = dict[str, tuple[int, int]]


class Task(NamedTuple):
    """One row of a label file: values (frames,) float32, NaN where not applicable, and whether they are classes."""

    values: np.ndarray
    discrete: bool


def load_sequences(
    path: str | Path, *, keypoints: int, individuals: int, zero_missing: bool = True
) -> tuple[list[str], list[np.ndarray]]:
    """Read the clip ids of a sequences file, and per clip (A, T, K, 2) float32 in the unit of the file; NaN = missing.

    With `zero_missing`, as in the files of the mice, the coordinates (0, 0) mean missing too. ValueError if the file is
    not one of MABe with clips of this many keypoints and individuals.
    """
    content = files.read_pickled_dict(path)
    sequences = content.get("sequences")
    if not isinstance(sequences, dict) or not sequences:
        raise ValueError(f"{path} has no 'sequences': is it a MABe 2022 file?")
    clips = []
    for name in sequences:
        clip, sequences[name] = sequences[name], None  # frees each clip's raw array before the next is converted
        raw = clip.get("keypoints") if isinstance(clip, dict) else None
        if not isinstance(raw, np.ndarray) or raw.ndim != 4 or raw.dtype.kind not in "fiu" or len(raw) == 0:
            raise ValueError(f"{path}: clip {name} has no keypoints (T, A, K, 2): is it a MABe 2022 file?")
        if raw.shape[1:] != (individuals, keypoints, 2):
            found = "{} individuals with {} keypoints of {} coordinates".format(*raw.shape[1:])
            raise ValueError(f"{path}: clip {name} has {found}; expected {individuals} with {keypoints} of 2")
        with np.errstate(over="ignore", invalid="ignore"):  # numbers beyond float32 become infinite
            array = np.array(raw.swapaxes(0, 1), dtype=np.float32, order="C")
        if np.isinf(array).any():
            raise ValueError(f"{path}: clip {name} holds infinite coordinates")
        if zero_missing:
            array[(array == 0).all(axis=-1)] = np.nan
        clips.append(array)
    return [str(name) for name in sequences], clips


def write_sequences(
    path: str | Path,
    clips: Mapping[str, np.ndarray],
    annotations: Mapping[str, np.ndarray] | None = None,
    vocabulary: Sequence[str] = (),
    zero_missing: bool = True,
) -> Path:
    """Write a sequences file with clips (A, T, K, 2) float by id, NaN = missing.

    `annotations`, by id (tasks, T), are the tasks of a training file, which `vocabulary` names. With `zero_missing`, as
    for the mice, coordinates are written as whole numbers with 0 = missing; otherwise as float32 with NaN = missing.
    """
    sequences = {}
    for name, clip in clips.items():
        lost = np.isnan(clip).any(axis=-1, keepdims=True)
        written = np.where(lost, 0, np.rint(clip)).astype(np.int64) if zero_missing else np.float32(clip)
        sequences[name] = {"keypoints": np.ascontiguousarray(written.swapaxes(0, 1))}
        if annotations is not None:
            sequences[name]["annotations"] = annotations[name]
    training = {} if annotations is None else {"vocabulary": list(vocabulary)}
    return files.write_pickled_dict(path, {"sequences": sequences, **training})


def write_labels(path: str | Path, frame_map: FrameMap, tasks: Mapping[str, Task]) -> Path:
    """Write a label file in the form of the public ones, with their spelling 'Continious'."""
    content = {
        "frame_number_map": frame_map,
        "label_array": np.stack([task.values for task in tasks.values()]).astype(np.float32),
        "vocabulary": list(tasks),
        "task_type": ["Discrete" if task.discrete else "Continious" for task in tasks.values()],
    }
    return files.write_pickled_dict(path, content)


def frame_map(ids: Sequence[str], lengths: Sequence[int]) -> FrameMap:
    """The frame map of clips that follow one another: id -> (start, end), end exclusive."""
    ends = np.cumsum(lengths)
    return {name: (int(end - length), int(end)) for name, length, end in zip(ids, lengths, ends, strict=True)}


def read_frame_map(path: str | Path) -> FrameMap:
    """Read a frame map; ValueError if the file holds something else."""
    return as_frame_map(files.read_pickled_dict(path), str(path))


def as_frame_map(content: Any, origin: str) -> FrameMap:
    """A frame map as text and plain numbers; ValueError if it is none, or its clips overlap or leave a gap."""
    try:
        rows = {str(name): (int(start), int(end)) for name, (start, end) in content.items()}
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(f"{origin} is not a map of clip ids to (start, end)") from error
    position = 0
    for start, end in sorted(rows.values()):
        if start != position or end < start:
            raise ValueError(f"{origin} leaves a gap or overlaps at row {position}")
        position = end
    return rows


def check_frame_map(rows: FrameMap, ids: Sequence[str], lengths: Sequence[int], origin: str) -> None:
    """Raise ValueError unless `rows` has exactly these clips, with these lengths."""
    if different := set(rows) ^ set(ids):
        other = min(different)
        place = "not in the test file" if other in rows else "missing in it"
        raise ValueError(f"{origin} does not fit the test file: clip {other} is {place}")
    for name, length in zip(ids, lengths, strict=True):
        start, end = rows[name]
        if end - start != length:
            raise ValueError(f"{origin} gives clip {name} {end - start} frames; the test file has {length}")


def write_submission(
    path: str | Path, rows: FrameMap, embeddings: np.ndarray, expected: FrameMap, most_columns: int
) -> Path:
    """Write embeddings (frames, C) with the frame map `rows`, unless the public evaluator would refuse them."""
    check_submission(rows, embeddings, expected, most_columns)
    return files.write_pickled_dict(path, {"frame_number_map": rows, "embeddings": embeddings})


def check_submission(rows: FrameMap, embeddings: np.ndarray, expected: FrameMap, most_columns: int) -> None:
    """Raise ValueError where the public evaluator would refuse a submission.

    The two frame maps must be equal, and the embeddings (frames, C) finite float32, with C at most `most_columns`.
    """
    if different := set(rows) ^ set(expected):
        counts = f"{len(rows)} clips, not the {len(expected)} expected"
        raise ValueError(f"the submission has {counts} (first difference: {min(different)})")
    for name, span in rows.items():
        if not isinstance(span, tuple) or tuple(span) != tuple(expected[name]):
            raise ValueError(f"the submission has clip {name} at {span}; expected {tuple(expected[name])}")
    frames = max(end for _, end in expected.values())
    if embeddings.ndim != 2 or len(embeddings) != frames or not 1 <= embeddings.shape[1] <= most_columns:
        wanted = f"{frames} frames and 1 to {most_columns} columns"
        raise ValueError(f"the embeddings have axes {embeddings.shape}; expected {wanted}")
    if embeddings.dtype != np.float32:
        raise ValueError(f"the embeddings are {embeddings.dtype}; expected float32")
    for first in range(0, len(embeddings), 2**16):
        if not np.isfinite(embeddings[first : first + 2**16]).all():
            raise ValueError(f"the embeddings hold NaN or infinite values after row {first}")
