"""Which recordings are for training, and which are held out."""

import sys
from collections.abc import Hashable, Sequence

import numpy as np

from bams.storage.files import listed


def choose_parts(
    recordings: Sequence[np.ndarray],
    least: int,
    share: float,
    seed: int,
    names: Sequence[str] | None = None,
    groups: Sequence[Hashable] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the recordings (A, T, ...) for training and of the held-out ones, see `choose_held_out`.

    Recordings of fewer than `least` frames, or without a tracked animal, are left out; stderr names them.
    """
    there = np.array(with_somebody(recordings, names))
    lengths = [recordings[i].shape[1] for i in there]
    kept = there[long_enough(lengths, least, None if names is None else [names[i] for i in there])]
    training, held_out = choose_held_out(len(kept), share, seed, None if groups is None else [groups[i] for i in kept])
    return kept[training], kept[held_out]


def choose_held_out(
    count: int, share: float, seed: int, groups: Sequence[Hashable] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Sorted indices of the recordings for training and of those held out, drawn at random.

    Recordings of the same group are on the same side. At least one of two or more groups is held out if `share` is
    above 0; a single group is for training.
    """
    if not 0 <= share < 1:
        raise ValueError(f"the held-out share is {share}; it must be from 0 to below 1")
    groups = range(count) if groups is None else groups
    places = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    count = len(places)
    held_out = min(max(round(count * share), 1), count - 1) if share > 0 else 0
    chosen = np.random.default_rng(seed).permutation(count)[:held_out]
    is_held_out = np.isin([places[group] for group in groups], chosen)
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


def without_absent(recording: np.ndarray) -> np.ndarray:
    """A recording (A, T, ...) without the individuals that are never tracked."""
    there = ever_tracked(recording)
    return recording if there.all() else recording[there]


def with_somebody(recordings: Sequence[np.ndarray], names: Sequence[str] | None = None) -> list[int]:
    """Indices of the recordings (A, T, ...) in which an individual is tracked in some frame; ValueError for none."""
    kept = [i for i, recording in enumerate(recordings) if ever_tracked(recording).any()]
    if not kept:
        raise ValueError("no individual is tracked in any frame of any recording (lower min_confidence if given)")
    _say_left_out(len(recordings), kept, names, "in which nobody is tracked")
    return kept


def ever_tracked(recording: np.ndarray) -> np.ndarray:
    """(A,) bool: whether each individual of a recording (A, T, ...) is tracked in some frame."""
    return np.isfinite(recording).reshape(len(recording), -1).any(axis=1)


def long_enough(lengths: Sequence[int], least: int, names: Sequence[str] | None = None) -> np.ndarray:
    """Indices of the recordings of at least `least` frames; stderr says which others are left out."""
    kept = np.flatnonzero(np.asarray(lengths) >= least)
    if len(kept) == 0:
        needed = f"skip_frames and hoa_window need {least}: lower these, or add longer recordings"
        raise ValueError(f"every recording is too short: the longest has {max(lengths)} frames, and {needed}")
    _say_left_out(len(lengths), kept, names, f"shorter than {least} frames")
    return kept


def _say_left_out(count: int, kept: Sequence[int], names: Sequence[str] | None, why: str) -> None:
    others = sorted(set(range(count)) - set(kept))
    if others:
        said = f": {listed([names[i] for i in others])}" if names is not None else ""
        print(f"skipped {len(others)} recordings {why}{said}", file=sys.stderr)
