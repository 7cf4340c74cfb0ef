"""Which recordings are for training, and which are held out."""

import sys
from collections.abc import Hashable, Sequence

import numpy as np


def choose_parts(
    recordings: Sequence[np.ndarray], least: int, share: float, seed: int, groups: Sequence[str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the recordings (A, T, ...) for training and of the held-out ones, see `choose_held_out`.

    Recordings of fewer than `least` frames, or without a tracked animal, are left out.
    """
    there = np.array(with_somebody(recordings))
    kept = there[long_enough([recordings[i].shape[1] for i in there], least)]
    training, held_out = choose_held_out(kept if groups is None else [groups[i] for i in kept], share, seed)
    return kept[training], kept[held_out]


def choose_held_out(groups: Sequence[Hashable], share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorted indices of the recordings for training and of those held out, drawn at random.

    Recordings of the same group are on the same side. At least one of two or more groups is held out if `share` is
    above 0; a single group is for training.
    """
    if not 0 <= share < 1:
        raise ValueError(f"the held-out share is {share}; it must be from 0 to below 1")
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


def with_somebody(recordings: Sequence[np.ndarray]) -> list[int]:
    """Indices of the recordings (A, T, ...) in which an individual is tracked in some frame; ValueError for none."""
    kept = [i for i, recording in enumerate(recordings) if ever_tracked(recording).any()]
    if not kept:
        raise ValueError("no individual is tracked in any frame of any recording (lower min_confidence if given)")
    return kept


def ever_tracked(recording: np.ndarray) -> np.ndarray:
    """(A,) bool: whether each individual of a recording (A, T, ...) is tracked in some frame."""
    return np.isfinite(recording).reshape(len(recording), -1).any(axis=1)


def long_enough(lengths: Sequence[int], least: int) -> np.ndarray:
    """Indices of the recordings of at least `least` frames; stderr says how many others are left out."""
    kept = np.flatnonzero(np.asarray(lengths) >= least)
    if len(kept) == 0:
        needed = f"skip_frames and hoa_window need {least}: lower these, or add longer recordings"
        raise ValueError(f"every recording is too short: the longest has {max(lengths)} frames, and {needed}")
    if len(kept) < len(lengths):
        print(f"skipped {len(lengths) - len(kept)} recordings shorter than {least} frames", file=sys.stderr)
    return kept
