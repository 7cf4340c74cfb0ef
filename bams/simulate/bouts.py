"""Bouts: states that last for a while and follow one another by chance, as behaviour does (numpy only)."""

import numpy as np
from numpy.random import Generator


def bouts(rng: Generator, regime: np.ndarray, follows: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """A semi-Markov chain per track, (S, A, T) int8, already under way at the first frame.

    regime (S, A, T) int names the tables in force; a bout ends when its time is up or when the
    regime changes. follows (regimes, states, states) weights; spans (regimes, states, 2) their
    shortest and longest bout, frames.
    """
    chances = follows / follows.sum(-1, keepdims=True)
    # Share of time in each state: share of bouts (the chain's fixed point) times mean length.
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


def per_bout(states: np.ndarray, values: np.ndarray) -> np.ndarray:
    """values (..., T) of the first frame of each bout, held to its end."""
    begin = np.where(np.diff(states, prepend=-1) != 0, np.arange(states.shape[-1]), 0)
    return np.take_along_axis(values, np.maximum.accumulate(begin, -1), -1)
