"""From features to what the network trains on: scaled inputs, quantised actions, validity, labels.

Axes: N tracks, T frames, K keypoints, F input features, D action features, Q bins of the histogram.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bams.data.feature_tables import Table, Track, build_table, keep, read_mapped, read_table
from bams.statistics import Statistics
from bams.storage import files

Arrays = np.ndarray | Sequence[np.ndarray]


class Dataset(torch.utils.data.Dataset):
    """Tracks as windows of features and quantised actions.

    An item is a dict: `input` (T, F) float32, unscaled; `actions` (T, D) uint8 bins; `valid` (T, D) bool; and the
    labels by name. A track shorter than T repeats its last frame, which is not valid. Reading an item twice gives the
    same item.

    Args:
        input_feats: (N, T, F) float, or a list of N arrays (T_i, F); NaN = not known, becomes the centre.
        target_feats: (N, T, D) float, or a list likewise: the action features.
        valid: (N, T, D) or (N, T) bool, or a list likewise: True = observed; None = wherever the action is finite.
        hoa_bins: Q, from 2 to 256.
        statistics: of the training tracks, to embed or validate on new data; fitted unless given.
        sequence_length: frames of a window (T of an item), at most those of the longest track, which are the default.
        labels: by name (N, ...) or a list of N, for the items; those per frame are cut like the input.
        cache_path: folder for what is computed here, used if `cache`; its files are keyed by content and settings.

    Raises ValueError for arrays that do not fit each other or the statistics, infinite inputs, or nothing valid.

    Example:
        Two tracks of 5 frames, one input and one action, two bins:

        >>> x = np.arange(10, dtype=np.float32).reshape(2, 5, 1)
        >>> item = Dataset(x, x % 2, None, hoa_bins=2)[1]
        >>> item["input"][:, 0].tolist(), item["actions"][:, 0].tolist()
        ([5.0, 6.0, 7.0, 8.0, 9.0], [1, 0, 1, 0, 1])
    """

    present: list[np.ndarray] | None = None  # of each track, where it is present, (T_i,) bool; None = in all frames

    def __init__(
        self,
        input_feats: Arrays,
        target_feats: Arrays,
        valid: Arrays | None,
        *,
        hoa_bins: int = 32,
        statistics: Statistics | None = None,
        sequence_length: int | None = None,
        labels: Mapping[str, Any] | None = None,
        cache_path: str | Path | None = None,
        cache: bool = False,
    ):
        tracks = as_tracks(input_feats, target_feats, valid)
        content = (part for track in tracks for part in track)
        table = make_table(
            tracks, content, hoa_bins=hoa_bins, statistics=statistics, cache_path=cache_path, cache=cache
        )
        self._take(table, sequence_length, labels)

    @classmethod
    def of_table(cls, table: Table, *, sequence_length: int | None = None, labels: Any = None) -> "Dataset":
        """A data set of features that are quantised already (see `feature_tables`)."""
        dataset = cls.__new__(cls)
        dataset._take(table, sequence_length, labels)
        return dataset

    def _take(self, table: Table, sequence_length: int | None, labels: Mapping[str, Any] | None) -> None:
        self.inputs, self.actions, self.valid, self.lengths, self.statistics = table
        self.placed: list[Tensor] = []
        self.track_names: list[str] | None = None  # for messages
        self.labels = dict(labels or {})
        for name, values in self.labels.items():
            if len(values) != len(self.lengths):
                raise ValueError(f"label {name} has {len(values)} entries for {len(self.lengths)} tracks")
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)])
        longest = int(self.lengths.max())
        self.sequence_length = longest if sequence_length is None else min(sequence_length, longest)
        self.windows = cut_windows(self.lengths, self.sequence_length)

    def __getstate__(self) -> dict[str, Any]:
        """Pickles hold the file names of mapped arrays, not their content."""
        kept = {name: getattr(self, name) for name in ("inputs", "actions", "valid")}
        paths = {name: Path(a.filename) for name, a in kept.items() if getattr(a, "filename", None)}
        return {**self.__dict__, **paths}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({k: read_mapped(v) if isinstance(v, Path) else v for k, v in state.items()})

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
        item: dict[str, Any] = {name: values[0].cpu() for name, values in self.batch([index]).items()}
        track, first = self.windows[index]
        total = self.lengths[track]
        count = min(self.sequence_length, total - first)
        for name, values in self.labels.items():
            value = np.array(values[track])
            if value.shape[:1] == (total,):
                missing = {"f": np.nan, "i": -1}.get(value.dtype.kind, 0)  # the label of frames after the track's end
                padding = np.full((self.sequence_length - count, *value.shape[1:]), missing, value.dtype)
                value = np.concatenate([value[first : first + count], padding])
            item[name] = value
        return item

    def batch(self, windows: Sequence[int]) -> dict[str, Tensor]:
        """`input` (B, T, F), `actions` (B, T, D) and `valid` (B, T, D) of B windows, on the device of `place`."""
        chosen = self.windows[np.asarray(windows, dtype=int)]
        bounds = np.stack([self.starts[chosen[:, 0]] + chosen[:, 1], self.starts[chosen[:, 0] + 1]], axis=1)
        inputs, actions, valid = self.placed or map(torch.from_numpy, (self.inputs, self.actions, self.valid))
        first, end = torch.from_numpy(bounds).to(inputs.device, non_blocking=True).unbind(1)
        rows = first[:, None] + torch.arange(self.sequence_length, device=inputs.device)
        inside = rows < end[:, None]
        rows = torch.minimum(rows, end[:, None] - 1)
        return {"input": inputs[rows], "actions": actions[rows], "valid": valid[rows] & inside[..., None]}

    def place(self, device: torch.device) -> None:
        """Hold a copy of all features on a device; batches are then gathered there."""
        self.placed = [torch.from_numpy(array).to(device) for array in (self.inputs, self.actions, self.valid)]

    def track_input(self, track: int) -> np.ndarray:
        """All frames of one track: (T, F) float32, unscaled, finite."""
        return self.inputs[self.starts[track] : self.starts[track + 1]]


def make_table(
    tracks: Iterable[Track],
    content: Iterable[np.ndarray | str],
    *,
    hoa_bins: int = 32,
    statistics: Statistics | None = None,
    cache_path: str | Path | None = None,
    cache: bool = False,
) -> Table:
    """The features of tracks, from the cache if it has them; its key is `content`, all that the features depend on."""
    if statistics is None and not 2 <= hoa_bins <= 256:
        raise ValueError(f"hoa_bins is {hoa_bins}; it must be from 2 to 256")
    build = partial(build_table, tracks, bins=hoa_bins, statistics=statistics)
    if not cache:
        return build()
    if cache_path is None:
        raise ValueError("cache=True needs cache_path, the folder to keep the cache in")
    fitted = list(asdict(statistics).values()) if statistics else []
    key = files.content_key(f"bams-data-3 {hoa_bins}", *content, *fitted)
    return keep(Path(cache_path) / key, lambda folder: build(folder=folder), read_table)


def cut_windows(lengths: np.ndarray, window: int) -> np.ndarray:
    """Windows that cover every frame of tracks of these lengths (N,) and overlap as little as possible.

    Each row of (windows, 2) int has a track and a first frame. A track shorter than the window gives one, at frame 0.
    """
    if window < 1:
        raise ValueError(f"a window of {window} frames; it must be at least 1")
    rows = []
    for track, length in enumerate(lengths):
        count = max(1, -(-int(length) // window))
        firsts = np.linspace(0, max(int(length) - window, 0), count).round().astype(int)
        rows.append(np.stack([np.full(count, track), firsts], axis=1))
    return np.concatenate(rows)


def as_tracks(input_feats: Arrays, target_feats: Arrays, valid: Arrays | None) -> list[Track]:
    """Tracks from features in the forms that `Dataset` takes; ValueError if they do not fit each other."""
    inputs, targets = _checked(input_feats, "input_feats"), _checked(target_feats, "target_feats")
    if [len(part) for part in inputs] != [len(part) for part in targets]:
        raise ValueError("input_feats and target_feats differ in their tracks or frames")
    if valid is None:
        valid = [np.ones(len(part), bool) for part in targets]
    known = [np.asarray(part, bool) for part in valid]
    known = [part[:, None] if part.ndim == 1 else part for part in known]
    allowed = [(target.shape, (len(target), 1)) for target in targets]
    if len(known) != len(targets) or any(part.shape not in axes for part, axes in zip(known, allowed, strict=True)):
        raise ValueError("valid must be per frame or per action feature, for the same tracks and frames")
    return [as_track(*parts) for parts in zip(inputs, targets, known, strict=True)]


def as_track(inputs: np.ndarray, targets: np.ndarray, valid: np.ndarray) -> Track:
    """One track: (T, F) and (T, D) float32; valid (T, D) or (T, 1) bool holds where the target is finite."""
    if np.isinf(inputs).any():
        raise ValueError("input_feats holds infinite values; write NaN where something is not known")
    return Track(inputs, targets, np.isfinite(targets) & valid)


def _checked(arrays: Arrays, name: str) -> list[np.ndarray]:
    arrays = [np.asarray(array) for array in arrays]
    if not arrays or any(array.ndim != 2 or 0 in array.shape for array in arrays):
        shapes = sorted({array.shape for array in arrays})[:3]
        raise ValueError(f"{name} must be (tracks, frames, features), none of them 0; a track has axes {shapes}")
    if len({array.shape[1] for array in arrays}) > 1:
        raise ValueError(f"the tracks of {name} differ in their number of features")
    return [array.astype(np.float32, copy=False) for array in arrays]
