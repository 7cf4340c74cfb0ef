"""From features to what the network trains on: scaled inputs, quantised actions, validity, labels.

Axes: N tracks, T frames, K keypoints, F input features, D action features, Q bins of the histogram.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bams import files
from bams.statistics import Statistics, fit_statistics, quantise


class Dataset(torch.utils.data.Dataset):
    """Tracks as windows of features and quantised actions.

    An item is a dict: `input` (T, F) float32, unscaled; `actions` (T, D) uint8 bins; `valid` (T, D) bool; and
    the labels by name. Where a track is shorter than T, its last frame is repeated and is not valid. Reading
    an item twice gives the same item.

    Args:
        input_feats: (N, T, F) float, or a list of N arrays (T_i, F); NaN = not known, becomes the centre.
        target_feats: (N, T, D) float, or a list likewise: the action features.
        valid: (N, T, D) or (N, T) bool, or a list likewise: True = observed; None = wherever the action is
            finite. An action that is not finite is never valid.
        hoa_bins: Q, at most 256.
        hoa_window: of the loss; accepted here for the released scripts' sake, and not used.
        statistics: those of the training tracks, to embed or validate on new data; fitted if not given.
        sequence_length: frames of a window (T of an item); tracks are cut into windows that overlap as
            little as possible, so that every frame is in one. None, or more than that: the longest track.
        labels: by name (N, ...) or a list of N; item i carries the labels of its track, cut like the input
            where they are one per frame.
        cache_path: folder for what is computed here, used if `cache`; files are keyed by content and settings.

    Example:
        Two tracks of 5 frames, one input and one action, two bins:

        >>> x = np.arange(10, dtype=np.float32).reshape(2, 5, 1)
        >>> item = Dataset(x, x % 2, None, hoa_bins=2)[1]
        >>> item["input"][:, 0].tolist(), item["actions"][:, 0].tolist()
        ([5.0, 6.0, 7.0, 8.0, 9.0], [1, 0, 1, 0, 1])

    Raises:
        ValueError: arrays that do not fit each other or the statistics, infinite inputs, nothing valid.
    """

    def __init__(
        self,
        input_feats: np.ndarray | Sequence[np.ndarray],
        target_feats: np.ndarray | Sequence[np.ndarray],
        valid: np.ndarray | Sequence[np.ndarray] | None,
        *,
        hoa_bins: int = 32,
        hoa_window: int = 30,
        statistics: Statistics | None = None,
        sequence_length: int | None = None,
        labels: Mapping[str, Any] | None = None,
        cache_path: str | Path | None = None,
        cache: bool = False,
    ):
        inputs, self.lengths = _join(input_feats, "input_feats")
        targets, target_lengths = _join(target_feats, "target_feats")
        if self.lengths.tolist() != target_lengths.tolist():
            raise ValueError("input_feats and target_feats differ in their tracks or frames")
        known = _joined_valid(valid, targets, self.lengths)
        if statistics is None and not 2 <= hoa_bins <= 256:
            raise ValueError(f"hoa_bins is {hoa_bins}; it must be from 2 to 256")
        if statistics is not None:
            _check_sizes(inputs, targets, statistics)
        path = _cache_file(cache_path, inputs, targets, known, hoa_bins, statistics) if cache else None
        cached = _read_cache(path) if path is not None and path.exists() else None
        if cached is not None:
            self.statistics, self.actions = cached
        else:
            self.statistics = statistics or fit_statistics(inputs, targets, known, hoa_bins)
            self.actions = quantise(targets, self.statistics.edges)
            if path is not None:
                files.write_arrays(path, actions=self.actions, **asdict(self.statistics))
        self.valid = known
        np.copyto(inputs, self.statistics.centre, where=np.isnan(inputs))  # `_join` made a copy of its own
        self.inputs = inputs
        self.labels = dict(labels or {})
        for name, values in self.labels.items():
            if len(values) != len(self.lengths):
                raise ValueError(f"label {name} has {len(values)} entries for {len(self.lengths)} tracks")
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)])
        longest = int(self.lengths.max())
        self.sequence_length = longest if sequence_length is None else min(sequence_length, longest)
        self.windows = cut_windows(self.lengths, self.sequence_length)

    @property
    def input_size(self) -> int:
        """F."""
        return self.inputs.shape[1]

    @property
    def target_size(self) -> int:
        """D."""
        return self.actions.shape[1]

    @property
    def n_tracks(self) -> int:
        """N."""
        return len(self.lengths)

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        track, first = self.windows[index]
        length, total = self.sequence_length, self.lengths[track]
        count = min(length, total - first)
        rows = slice(self.starts[track] + first, self.starts[track] + first + count)
        item: dict[str, Any] = {
            "input": torch.from_numpy(_pad(self.inputs[rows], length, "edge")),
            "actions": torch.from_numpy(_pad(self.actions[rows], length, "edge")),
            "valid": torch.from_numpy(_pad(self.valid[rows], length, "constant")),
        }
        for name, values in self.labels.items():
            value = np.array(values[track])
            if value.shape[:1] == (total,):
                value = np.concatenate([value[first : first + count], _no_label(value, length - count)])
            item[name] = value
        return item

    def track_input(self, track: int) -> np.ndarray:
        """All frames of one track: (T, F) float32, unscaled, finite."""
        return self.inputs[self.starts[track] : self.starts[track + 1]]


def cut_windows(lengths: np.ndarray, window: int) -> np.ndarray:
    """Windows that cover every frame of every track and overlap as little as possible.

    Args:
        lengths: (N,) int, frames of each track.
        window: frames of a window.

    Returns:
        (windows, 2) int: track and first frame. A track shorter than the window gives one, at frame 0.
    """
    if window < 1:
        raise ValueError(f"a window of {window} frames; it must be at least 1")
    rows = []
    for track, length in enumerate(lengths):
        count = max(1, -(-int(length) // window))
        firsts = np.linspace(0, max(int(length) - window, 0), count).round().astype(int)
        rows.append(np.stack([np.full(count, track), firsts], axis=1))
    return np.concatenate(rows)


def _join(arrays: np.ndarray | Sequence[np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
    arrays = [np.asarray(array) for array in arrays]
    if not arrays or any(array.ndim != 2 or 0 in array.shape for array in arrays):
        shapes = sorted({array.shape for array in arrays})[:3]
        raise ValueError(f"{name} must be (tracks, frames, features), none of them 0; a track has axes {shapes}")
    if len({array.shape[1] for array in arrays}) > 1:
        raise ValueError(f"the tracks of {name} differ in their number of features")
    joined = np.concatenate(arrays).astype(np.float32, copy=False)
    if name == "input_feats" and np.isinf(joined).any():
        raise ValueError(f"{name} holds infinite values; write NaN where something is not known")
    return joined, np.array([len(array) for array in arrays])


def _joined_valid(valid: Any, targets: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    finite = np.isfinite(targets)
    if valid is None:
        return finite
    arrays = [np.asarray(v, dtype=bool) for v in valid]
    arrays = [v[:, None] if v.ndim == 1 else v for v in arrays]
    shapes = [v.shape for v in arrays]
    widths = (1, targets.shape[1])
    if (
        any(len(shape) != 2 or shape[1] not in widths for shape in shapes)
        or [shape[0] for shape in shapes] != lengths.tolist()
    ):
        raise ValueError("valid must be per frame or per action feature, for the same tracks and frames")
    return np.concatenate(arrays) & finite


def _check_sizes(inputs: np.ndarray, targets: np.ndarray, statistics: Statistics) -> None:
    expected = statistics.centre.size, statistics.edges.shape[0]
    if (inputs.shape[1], targets.shape[1]) != expected:
        raise ValueError(
            f"the data give {inputs.shape[1]} input and {targets.shape[1]} action features, the statistics are "
            f"for {expected[0]} and {expected[1]}: use recordings with the same keypoints as in training"
        )


def _pad(rows: np.ndarray, length: int, mode: str) -> np.ndarray:
    missing = length - len(rows)
    return np.pad(rows, ((0, missing), (0, 0)), mode=mode) if missing else rows.copy()


def _no_label(values: np.ndarray, count: int) -> np.ndarray:
    """`count` entries that say 'not labelled': NaN, -1 for whole numbers, False or 0 where there is no sign."""
    missing = {"f": np.nan, "i": -1}.get(values.dtype.kind, 0)
    return np.full((count, *values.shape[1:]), missing, values.dtype)


def _cache_file(
    folder: str | Path | None,
    inputs: np.ndarray,
    targets: np.ndarray,
    valid: np.ndarray,
    bins: int,
    statistics: Statistics | None,
) -> Path:
    if folder is None:
        raise ValueError("cache=True needs cache_path, the folder to keep the cache in")
    fitted = [getattr(statistics, name) for name in ("centre", "scale", "edges", "counts")] if statistics else []
    return Path(folder) / f"{files.content_key(f'bams-data-1 {bins}', inputs, targets, valid, *fitted)}.npz"


def _read_cache(path: Path) -> tuple[Statistics, np.ndarray] | None:
    """What is in a cache file; None if it is damaged, so that it is made anew."""
    try:
        arrays = files.read_arrays(path)
        actions = arrays.pop("actions")
        return Statistics(**arrays), actions
    except (ValueError, KeyError, TypeError):
        return None
