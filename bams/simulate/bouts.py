"""Bouts: states that last for a while and follow one another by chance, and what changes with them (numpy only)."""

import numpy as np
from numpy.random import Generator


def check_arguments(*numbers: tuple[str, int, int], **scales: float) -> None:
    """Raise ValueError unless numbers (name, value, least) are whole and large enough, and scales finite and >= 0."""
    for name, value, least in numbers:
        if not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    for name, scale in scales.items():
        if not 0 <= scale < np.inf:
            raise ValueError(f"{name} must be finite and not negative, got {scale!r}")


def draw(rng: Generator, regime: np.ndarray, follows: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """A semi-Markov chain of states for each track, (S, A, T) int8, already under way at the first frame.

    A bout ends when its time is up or the `regime` (S, A, T) int changes, which says what row of the tables holds:
    `follows` (regimes, states, states), weights of the next state, and `spans` (regimes, states, 2) or (states, 2),
    the shortest and the longest bout in frames.
    """
    spans = np.broadcast_to(spans, (*follows.shape[:2], 2))
    chances = follows / follows.sum(-1, keepdims=True)
    # share of time in a state = its share of the bouts (the fixed point of the chain) * its mean length
    lazy = (chances + np.eye(chances.shape[-1])) / 2
    share = np.linalg.matrix_power(lazy, 256)[:, 0] * spans.mean(-1)
    reach, share = np.cumsum(chances, -1), np.cumsum(share, -1)
    reach, share = reach / reach[..., -1:], share / share[..., -1:]
    shortest, longest = np.moveaxis(np.round(spans).astype(int), -1, 0)

    regimes = regime.reshape(-1, regime.shape[-1])
    state = (rng.random((len(regimes), 1)) >= share[regimes[:, 0]]).sum(1)
    left, out = np.zeros(len(regimes), int), np.empty(regimes.shape, np.int8)
    for t, now in enumerate(regimes.T):
        pick, length = rng.random((2, len(regimes)))
        ends = (left <= 0) | (now != regimes[:, max(t - 1, 0)])
        if t:
            state = np.where(ends, (pick[:, None] >= reach[now, state]).sum(1), state)
        low, high = shortest[now, state], longest[now, state]
        span = low + (length * (high - low + 1)).astype(int)
        if t == 0:
            span = np.ceil(span * pick).astype(int)  # what is left of a bout under way
        left = np.where(ends, span, left) - 1
        out[:, t] = state
    return out.reshape(regime.shape)


def draw_by_strain(rng: Generator, regime, strain, follows, spans_s, fps: int) -> np.ndarray:
    """As `draw`; all bouts of strain (S,) 1 last longer, so that shares of time stay equal; spans_s in seconds."""
    spans = np.array([stretch * spans_s for stretch in (1.0, 1.6) for _ in follows]) * fps
    return draw(rng, regime + len(follows) * strain[:, None, None], np.tile(follows, (2, 1, 1)), spans)


def hold(states: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values (..., T) of the first frame of each bout, held until the bout ends."""
    begin = np.where(np.diff(states, prepend=-1) != 0, np.arange(states.shape[-1]), 0)
    return np.take_along_axis(values, np.maximum.accumulate(begin, -1), -1)


def trailing_mean(values: np.ndarray, frames: int) -> np.ndarray:
    """Mean of (A, T, ...) over the last `frames` frames; the first frame stands for those before it."""
    total = np.cumsum(np.concatenate([values[:, :1].repeat(frames, 1), values], 1), 1, dtype=float)
    return (total[:, frames:] - total[:, :-frames]) / frames


def rhythm(rng: Generator, states: np.ndarray, hertz: float, fps: int) -> np.ndarray:
    """Phase (A, T) of a rhythm, radians; its pace differs a little by individual and bout."""
    pace = hertz * rng.normal(1, 0.04, (len(states), 1))
    pace = pace * hold(states, rng.normal(1, 0.05, states.shape))
    return rng.uniform(0, 2 * np.pi, (len(states), 1)) + np.cumsum(2 * np.pi * pace / fps, 1)
