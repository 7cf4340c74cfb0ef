"""Figures of recordings of one's own and their embeddings.

Axes: A individuals, T frames, K keypoints, d coordinates.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bams import plots
from bams.embed.tracks import TrackEmbedding
from bams.features.geometry import norm
from bams.recordings.recording import Recording

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_RECORDINGS = len(plots.COLOURS)
MOST_FRAMES = 5000
SHOWN_S, USUAL_FPS = 60, 30


def draw_overview(recordings: Sequence[Recording], embedded: Sequence[Sequence[TrackEmbedding]]) -> dict[str, "Figure"]:
    """What has been learnt, at a glance.

    Args:
        recordings: at most `MOST_RECORDINGS` of them are drawn.
        embedded: of each recording the embeddings of its individuals, or of all joined.

    Returns:
        `latents`, frames in two dimensions coloured by speed and by recording; `recording`, the first minute of
        the first individual over time.
    """
    recordings, embedded = recordings[:MOST_RECORDINGS], embedded[:MOST_RECORDINGS]
    tracks = [track for one, found in zip(recordings, embedded, strict=True) for track in _tracks(one, len(found))]
    every = -(-sum(map(len, tracks)) // MOST_FRAMES)
    rows = {
        name: np.concatenate([one[name] for found in embedded for one in found])[::every]
        for name in embedded[0][0].embs
    }
    rates = [one.fps for one, found in zip(recordings, embedded, strict=True) for _ in found]
    speed = np.concatenate([_speed(track, fps) for track, fps in zip(tracks, rates, strict=True)])
    number = np.repeat(np.arange(len(recordings)), [sum(map(len, found)) for found in embedded])
    names = [recording.name for recording in recordings]
    labels = {"speed": (speed[::every], None), "recording": (number[::every], names)}
    first = recordings[0]
    shown = slice(0, round(SHOWN_S * (first.fps or USUAL_FPS)))
    return {
        "latents": plots.plot_latents(rows, labels),
        "recording": plots.plot_recording(
            {name: emb[shown] for name, emb in embedded[0][0].embs.items()},
            tracks[0][shown],
            fps=first.fps,
            first_frame=first.first_frame,
        ),
    }


def _tracks(recording: Recording, count: int) -> list[np.ndarray]:
    """(T, K, d) of each individual, or of all joined in one track; a number of a series is a point on a line."""
    points = recording.keypoints if recording.keypoints.ndim == 4 else recording.keypoints[..., None]
    return list(points) if count == len(points) else [np.concatenate(list(points), axis=1)]


def _speed(track: np.ndarray, fps: float | None) -> np.ndarray:
    """Median over the keypoints of (T, K, d), per second, or per frame without a rate; NaN = not known."""
    steps = norm(np.diff(track, axis=0, prepend=np.nan * track[:1]))
    return np.ma.median(np.ma.masked_invalid(steps), axis=1).filled(np.nan) * (fps or 1)
