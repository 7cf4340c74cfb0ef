"""Which recordings are for training, and which are held out."""

import sys
from collections.abc import Sequence

import numpy as np


def choose_parts(
    recordings: Sequence[np.ndarray], least: int, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Which recordings (A, T, ...) are for training and which held out; those too short, or empty, are neither.

    Args:
        recordings: any.
        least: frames that a recording must have.
        share, seed: see `choose_held_out`.

    Returns:
        two int arrays of indices.

    Raises:
        ValueError: every recording is too short, or nobody is in any.
    """
    there = np.array(with_somebody(recordings))
    kept = there[long_enough([recordings[i].shape[1] for i in there], least)]
    training, held_out = choose_held_out(len(kept), share, seed)
    return kept[training], kept[held_out]


def choose_held_out(count: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
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


def without_absent(recording: np.ndarray) -> np.ndarray:
    """A recording (A, T, ...) without the individuals that are never tracked: no track to learn from."""
    there = ever_tracked(recording)
    return recording if there.all() else recording[there]


def with_somebody(recordings: Sequence[np.ndarray]) -> list[int]:
    """Indices of the recordings (A, T, ...) in which anybody is tracked in any frame.

    Raises:
        ValueError: there is none.
    """
    kept = [i for i, recording in enumerate(recordings) if ever_tracked(recording).any()]
    if not kept:
        raise ValueError(
            "no individual is tracked in any frame of any recording: there is nothing to learn from (lower "
            "min_confidence if it was given)"
        )
    return kept


def ever_tracked(recording: np.ndarray) -> np.ndarray:
    """Which individuals of a recording (A, T, ...) are tracked in any frame: (A,) bool."""
    return np.isfinite(recording).reshape(len(recording), -1).any(axis=1)


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
