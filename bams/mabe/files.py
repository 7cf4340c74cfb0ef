"""The MABe 2022 files: sequences, labels and submissions, in and out.

A sequences file is a pickled dict in `.npy`: {'sequences': {clip id: {'keypoints': (T, A, K, 2)}}}.
A frame map {clip id: (start, end)} says which rows of labels or embeddings belong to a clip.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bams.storage import files

MISSING_HINT = "is it a MABe 2022 file?"
SEEDS = (42, 43, 44)  # of the evaluator's read-outs
FrameMap = dict[str, tuple[int, int]]


class Task(NamedTuple):
    """One row of a label file: values (frames,) float32, NaN where not applicable, and its kind."""

    values: np.ndarray
    discrete: bool


def load_sequences(
    path: str | Path, *, keypoints: int, individuals: int, zero_missing: bool = True
) -> tuple[list[str], list[np.ndarray]]:
    """Read a sequences file.

    Args:
        path: the `.npy` file.
        keypoints: K, expected.
        individuals: A, expected.
        zero_missing: whether two zeros mean missing, as in the files of the mice, where positions are whole px.

    Returns:
        clip ids in file order, and per clip (A, T, K, 2) float32, the file's unit; NaN = missing.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not a MABe file, or one of other animals.
    """
    content = files.read_pickled_dict(path)
    sequences = content.get("sequences")
    if not isinstance(sequences, dict) or not sequences:
        raise ValueError(f"{path} has no 'sequences': {MISSING_HINT}")
    clips = []
    for name in sequences:
        # each clip's raw array is let go before the next is converted
        clip, sequences[name] = sequences[name], None
        raw = clip.get("keypoints") if isinstance(clip, dict) else None
        if not isinstance(raw, np.ndarray) or raw.ndim != 4 or raw.dtype.kind not in "fiu" or len(raw) == 0:
            raise ValueError(f"{path}: clip {name} has no keypoints of axes (T, A, K, 2): {MISSING_HINT}")
        if raw.shape[1:] != (individuals, keypoints, 2):
            raise ValueError(
                f"{path}: clip {name} has {raw.shape[1]} individuals with {raw.shape[2]} keypoints of "
                f"{raw.shape[3]} coordinates; expected {individuals} with {keypoints} of 2"
            )
        with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold is infinite in it
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
    """Write a sequences file, whole or not at all.

    Args:
        path: the `.npy` file.
        clips: by id (A, T, K, 2) float, NaN = missing.
        annotations: by id (tasks, T), the public tasks of a training file.
        vocabulary: names of these tasks.
        zero_missing: write whole numbers with 0 = missing, as for the mice; else float32 with NaN = missing.
    """
    sequences = {}
    for name, clip in clips.items():
        lost = np.isnan(clip).any(axis=-1, keepdims=True)
        written = np.where(lost, 0, np.rint(clip)).astype(np.int64) if zero_missing else np.float32(clip)
        sequences[name] = {"keypoints": np.ascontiguousarray(written.swapaxes(0, 1))}
        if annotations is not None:
            sequences[name]["annotations"] = annotations[name]
    content: dict[str, Any] = {"sequences": sequences}
    if annotations is not None:
        content["vocabulary"] = list(vocabulary)
    return files.write_pickled_dict(path, content)


def write_labels(path: str | Path, frame_map: FrameMap, tasks: Mapping[str, Task]) -> Path:
    """Write a label file in the form of the public ones ('Continious' is so spelt in them)."""
    return files.write_pickled_dict(
        path,
        {
            "frame_number_map": frame_map,
            "label_array": np.stack([task.values for task in tasks.values()]).astype(np.float32),
            "vocabulary": list(tasks),
            "task_type": ["Discrete" if task.discrete else "Continious" for task in tasks.values()],
        },
    )


def frame_map(ids: Sequence[str], lengths: Sequence[int]) -> FrameMap:
    """Clips one after the other: id -> (start, end), end exclusive."""
    ends = np.cumsum(lengths)
    return {name: (int(end - length), int(end)) for name, length, end in zip(ids, lengths, ends, strict=True)}


def read_frame_map(path: str | Path) -> FrameMap:
    """Read a frame map file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not one.
    """
    return as_frame_map(files.read_pickled_dict(path), str(path))


def as_frame_map(content: Any, origin: str) -> FrameMap:
    """Plain numbers from what `origin` holds as a frame map, or ValueError."""
    try:
        return {str(name): (int(start), int(end)) for name, (start, end) in content.items()}
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(f"{origin} is not a map of clip ids to (start, end)") from error


def check_frame_map(rows: FrameMap, ids: Sequence[str], lengths: Sequence[int], origin: str) -> None:
    """Raise ValueError unless `rows` has exactly these clips, with these lengths, without gap or overlap."""
    missing, unknown = sorted(set(ids) - set(rows)), sorted(set(rows) - set(ids))
    if missing or unknown:
        raise ValueError(
            f"{origin} does not fit the test file: {len(missing)} clips are missing in it"
            f"{' (first ' + missing[0] + ')' if missing else ''}, {len(unknown)} are not in the test file"
            f"{' (first ' + unknown[0] + ')' if unknown else ''}"
        )
    for name, length in zip(ids, lengths, strict=True):
        start, end = rows[name]
        if end - start != length:
            raise ValueError(f"{origin} gives clip {name} {end - start} frames; the test file has {length}")
    check_spans(rows, origin)


def check_spans(rows: FrameMap, origin: str) -> None:
    """Raise ValueError unless the clips cover their rows without gap or overlap."""
    position = 0
    for start, end in sorted(rows.values()):
        if start != position or end < start:
            raise ValueError(f"{origin} leaves a gap or overlaps at row {position}")
        position = end


def write_submission(
    path: str | Path, rows: FrameMap, embeddings: np.ndarray, expected: FrameMap, most_columns: int
) -> Path:
    """Check all that the public evaluator checks, then write {frame_number_map, embeddings}.

    Args:
        path: the `.npy` file.
        rows: frame map of the embeddings.
        embeddings: (frames, C) float32.
        expected: frame map that the evaluator knows.
        most_columns: C at most.

    Raises:
        ValueError: ids or (start, end) differ, too wide, not float32, not finite.
        OSError: the folder cannot be written.
    """
    check_submission(rows, embeddings, expected, most_columns)
    return files.write_pickled_dict(path, {"frame_number_map": rows, "embeddings": embeddings})


def check_submission(rows: FrameMap, embeddings: np.ndarray, expected: FrameMap, most_columns: int) -> None:
    """Raise ValueError where the public evaluator would refuse a submission (see `write_submission`)."""
    if set(rows) != set(expected):
        other = sorted(set(rows) ^ set(expected))[0]
        raise ValueError(
            f"the submission has {len(rows)} clips, not the {len(expected)} that are expected (first difference: "
            f"{other})"
        )
    for name, span in rows.items():
        if not isinstance(span, tuple) or tuple(span) != tuple(expected[name]):
            raise ValueError(f"the submission has clip {name} at {span}; expected {tuple(expected[name])}")
    frames = max(end for _, end in expected.values())
    if embeddings.ndim != 2 or len(embeddings) != frames:
        raise ValueError(f"the embeddings have axes {embeddings.shape}; expected {frames} frames")
    if not embeddings.shape[1]:
        raise ValueError("the embeddings have no columns")
    if embeddings.shape[1] > most_columns:
        raise ValueError(f"the embeddings have {embeddings.shape[1]} columns; at most {most_columns} are allowed")
    if embeddings.dtype != np.float32:
        raise ValueError(f"the embeddings are {embeddings.dtype}; expected float32")
    for first in range(0, len(embeddings), 2**16):
        if not np.isfinite(embeddings[first : first + 2**16]).all():
            raise ValueError(f"the embeddings hold NaN or infinite values after row {first}")
