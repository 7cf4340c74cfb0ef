"""Figures of your own recordings and their embeddings.

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
    """What has been learnt, at a glance, from at most `MOST_RECORDINGS` recordings.

    `latents` shows frames in two dimensions, coloured by speed and by recording; `recording` the first minute of the
    first individual over time.
    """
    recordings, embedded = recordings[:MOST_RECORDINGS], embedded[:MOST_RECORDINGS]
    first, tracks = recordings[0], [track for found in embedded for track in found]
    # a number of a series is a point on a line
    points = [one if one.ndim == 3 else one[..., None] for recording in recordings for one in recording.keypoints]
    rates = [recording.fps for recording, found in zip(recordings, embedded, strict=True) for _ in found]
    speed = np.concatenate([_speed(track, fps) for track, fps in zip(points, rates, strict=True)])
    number = np.repeat(np.arange(len(recordings)), [sum(map(len, found)) for found in embedded])
    every = -(-len(speed) // MOST_FRAMES)
    rows = {name: np.concatenate([track[name] for track in tracks])[::every] for name in tracks[0].embs}
    names = [recording.name for recording in recordings]
    labels = {"speed": (speed[::every], None), "recording": (number[::every], names)}
    shown = slice(0, round(SHOWN_S * (first.fps or USUAL_FPS)))
    begin = {name: emb[shown] for name, emb in tracks[0].embs.items()}
    return {
        "latents": plots.plot_latents(rows, labels),
        "recording": plots.plot_recording(begin, points[0][shown], fps=first.fps, first_frame=first.first_frame),
    }


def _speed(track: np.ndarray, fps: float | None) -> np.ndarray:
    """Median over the keypoints of (T, K, d), per second, or per frame without a rate; NaN = not known."""
    steps = norm(np.diff(track, axis=0, prepend=np.nan * track[:1]))
    return np.ma.median(np.ma.masked_invalid(steps), axis=1).filled(np.nan) * (fps or 1)
