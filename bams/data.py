"""From features to what the network trains on: scaled inputs, quantised actions, validity, labels.

Axes: N tracks, T frames, K keypoints, F input features, D action features, Q bins of the histogram.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bams import features, files

SAMPLED_FRAMES = 1_000_000  # more frames do not move a percentile that anyone could see
EDGE_PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True)
class Statistics:
    """What is fitted on the training tracks and travels in the checkpoint.

    Attributes:
        centre: (F,) float32, median of each input feature, in its unit.
        scale: (F,) float32, half of its 1-99 percentile range; where that is 0 the standard deviation, else 1.
        edges: (D, Q-1) float32, bin edges of each action feature, in its unit; an action is in bin q when
            q edges are less than or equal to it.
        counts: (D, Q) int64, valid frames in each bin.
    """

    centre: np.ndarray
    scale: np.ndarray
    edges: np.ndarray
    counts: np.ndarray

    @property
    def bins(self) -> int:
        """Q."""
        return self.counts.shape[1]


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
            little as possible, so that every frame is in one. None: the longest track.
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
        statistics: Statistics | Mapping[str, np.ndarray] | None = None,
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
        if isinstance(statistics, Mapping):
            statistics = Statistics(**statistics)
        if statistics is None and not 2 <= hoa_bins <= 256:
            raise ValueError(f"hoa_bins is {hoa_bins}; it must be from 2 to 256")
        path = _cache_file(cache_path, inputs, targets, known, hoa_bins, statistics) if cache else None
        if path is not None and path.exists():
            self.statistics, self.actions = _read_cache(path)
        else:
            self.statistics = statistics or fit_statistics(inputs, targets, known, hoa_bins)
            self.actions = quantise(targets, self.statistics.edges)
            if path is not None:
                files.write_arrays(path, actions=self.actions, **asdict(self.statistics))
        if inputs.shape[1] != self.statistics.centre.size:
            raise ValueError(
                f"there are {inputs.shape[1]} input features; the statistics (of the checkpoint, where they come "
                f"from one) are for {self.statistics.centre.size}: use recordings of the same kind as in training"
            )
        self.valid = known
        self.inputs = np.where(np.isnan(inputs), self.statistics.centre, inputs)
        self.labels = dict(labels or {})
        for name, values in self.labels.items():
            if len(values) != len(self.lengths):
                raise ValueError(f"label {name} has {len(values)} entries for {len(self.lengths)} tracks")
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)])
        self.sequence_length = int(sequence_length or self.lengths.max())
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
            value = np.asarray(values[track])
            item[name] = value[first : first + length] if value.shape[:1] == (total,) else value
        return item

    def track_input(self, track: int) -> np.ndarray:
        """All frames of one track: (T, F) float32, unscaled, finite."""
        return self.inputs[self.starts[track] : self.starts[track + 1]]


class KeypointsDataset(Dataset):
    """A `Dataset` from keypoints or any time series, with features that need no hand-work.

    Args:
        keypoints: (N, T, K, d) keypoints or (N, T, F) series, float, any unit, or a list of arrays without
            the first axis; NaN = missing. Frames at the end of a track in which everything is missing are
            taken for padding and dropped.
        keypoint_names: K names, for the names of the features.
        options: all others of `Dataset`.

    Attributes:
        input_names, action_names: names of the F input and D action features.
    """

    def __init__(
        self,
        keypoints: np.ndarray | Sequence[np.ndarray],
        *,
        keypoint_names: tuple[str, ...] | None = None,
        **options: Any,
    ):
        tracks = [_without_padding(check_keypoints(track)) for track in keypoints]
        if not tracks:
            raise ValueError("there is no track in the keypoints")
        if len({track.shape[1:] for track in tracks}) > 1:
            raise ValueError("the tracks differ in their keypoints or coordinates")
        if tracks[0].ndim == 3:
            found = [features.keypoint_features(track[None], keypoint_names) for track in tracks]
        else:
            found = [features.series_features(track[None]) for track in tracks]
        self.input_names, self.action_names = found[0].input_names, found[0].action_names
        super().__init__(
            [f.inputs[0] for f in found], [f.actions[0] for f in found], [f.valid[0] for f in found], **options
        )


def check_keypoints(keypoints: np.ndarray) -> np.ndarray:
    """One track (T, K, d) or (T, F), or any array of tracks, as float32.

    Raises:
        ValueError: not numbers, infinite values, no frame, or another number of axes.
    """
    keypoints = np.asarray(keypoints)
    if keypoints.ndim not in (2, 3) or 0 in keypoints.shape:
        raise ValueError(
            f"a track has axes {keypoints.shape}; expected (frames, keypoints, coordinates) or (frames, features)"
        )
    if keypoints.dtype.kind not in "fiub":
        raise ValueError(f"keypoints are of type {keypoints.dtype}, not numbers")
    if keypoints.ndim == 3 and keypoints.shape[-1] not in (1, 2, 3):
        raise ValueError(
            f"keypoints have {keypoints.shape[-1]} coordinates; expected 1, 2 or 3 (drop confidences)"
        )
    if np.isinf(keypoints).any():
        raise ValueError("keypoints hold infinite values; write NaN where a keypoint is not tracked")
    return keypoints.astype(np.float32, copy=False)


def fit_statistics(inputs: np.ndarray, targets: np.ndarray, valid: np.ndarray, bins: int) -> Statistics:
    """Fit centre, scale and bins on valid frames, robust to tracker jumps.

    Args:
        inputs: (frames, F) float32, any units; NaN = not known.
        targets: (frames, D) float32, any units.
        valid: (frames, D) bool, True = observed.
        bins: Q.

    Raises:
        ValueError: no action is valid anywhere.
    """
    seen = valid.any(axis=1)
    if not seen.any():
        raise ValueError(
            "no action is valid in any frame: nothing to learn from (is everything missing, or one frame long?)"
        )
    rows = np.flatnonzero(seen)
    if rows.size > SAMPLED_FRAMES:
        rows = np.sort(np.random.default_rng(0).choice(rows, SAMPLED_FRAMES, replace=False))
    centre, scale = zip(*(_robust_scale(column[np.isfinite(column)]) for column in inputs[rows].T), strict=True)
    columns = [column[known] for column, known in zip(targets[rows].T, valid[rows].T, strict=True)]
    edges = np.stack([_edges(column, bins) for column in columns])
    counts = np.stack(
        [
            np.bincount(quantise(column[:, None], edge[None])[:, 0], minlength=bins)
            for column, edge in zip(columns, edges, strict=True)
        ]
    )
    return Statistics(np.float32(centre), np.float32(scale), edges, counts.astype(np.int64))


def quantise(targets: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Bins of action features: (frames, D) float32 and edges (D, Q-1) -> (frames, D) uint8; NaN -> 0."""
    _, size = targets.shape
    if edges.shape[0] != size:
        raise ValueError(f"there are {size} action features; the statistics are for {edges.shape[0]}")
    bins = np.empty(targets.shape, np.uint8)
    for column in range(size):
        bins[:, column] = np.searchsorted(edges[column], np.nan_to_num(targets[:, column]), side="right")
    return bins


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


def split_recordings(count: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Whole recordings for training and held out: `count` recordings, `share` of them held out, by seed.

    At least one is held out if `share` is above 0 and there are two; a single recording is for training.

    Returns:
        two sorted int arrays of indices, training and held out.
    """
    if not 0 <= share < 1:
        raise ValueError(f"the held-out share is {share}; it must be from 0 to below 1")
    held_out = min(max(round(count * share), 1), count - 1) if share > 0 else 0
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def long_enough(lengths: Sequence[int], least: int) -> np.ndarray:
    """Indices of the recordings of at least `least` frames; says on stderr which are skipped.

    Raises:
        ValueError: there is none.
    """
    kept = np.flatnonzero(np.asarray(lengths) >= least)
    if len(kept) == 0:
        raise ValueError(
            f"every recording is too short to learn from: the longest has {max(lengths)} frames, and skip_frames "
            f"and hoa_window need {least}: lower these, or add longer recordings"
        )
    if len(kept) < len(lengths):
        print(f"skipped {len(lengths) - len(kept)} recordings shorter than {least} frames", file=sys.stderr)
    return kept


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
    if [len(v) for v in arrays] != lengths.tolist() or any(
        v.shape[1] not in (1, targets.shape[1]) for v in arrays
    ):
        raise ValueError("valid must be per frame or per action feature, for the same tracks and frames")
    return np.concatenate(arrays) & finite


def _robust_scale(values: np.ndarray) -> tuple[float, float]:
    if values.size == 0:
        return 0.0, 1.0
    low, centre, high = np.percentile(values, (1, 50, 99))
    return centre, (high - low) / 2 or values.std(dtype=np.float64) or 1.0


def _edges(values: np.ndarray, bins: int) -> np.ndarray:
    if values.size == 0:
        return np.zeros(bins - 1, np.float32)
    return np.linspace(*np.percentile(values, EDGE_PERCENTILES), bins - 1).astype(np.float32)


def _pad(rows: np.ndarray, length: int, mode: str) -> np.ndarray:
    missing = length - len(rows)
    return np.pad(rows, ((0, missing), (0, 0)), mode=mode) if missing else rows.copy()


def _without_padding(track: np.ndarray) -> np.ndarray:
    present = np.flatnonzero(np.isfinite(track).reshape(len(track), -1).any(axis=1))
    return track[: present[-1] + 1] if present.size else track[:1]


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


def _read_cache(path: Path) -> tuple[Statistics, np.ndarray]:
    arrays = files.read_arrays(path)
    actions = arrays.pop("actions")
    return Statistics(**arrays), actions
