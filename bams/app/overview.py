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
    """What has been learnt, at a glance, from at most `MOST_RECORDINGS` recordings; somebody is tracked in one.

    `latents` shows frames in two dimensions, coloured by speed and by recording; `recording` the first minute over time
    of the first individual that is ever tracked, from its first sight on.
    """
    recordings, embedded = recordings[:MOST_RECORDINGS], embedded[:MOST_RECORDINGS]
    tracks = [track for found in embedded for track in found]
    # a number of a series is a point on a line
    points = [one if one.ndim == 3 else one[..., None] for recording in recordings for one in recording.keypoints]
    speed = np.concatenate([_speed(one, track.fps) for one, track in zip(points, tracks, strict=True)])
    number = np.repeat(np.arange(len(recordings)), [sum(map(len, found)) for found in embedded])
    there = [np.isfinite(track.table()).all(axis=1) for track in tracks]
    drawn = np.flatnonzero(np.concatenate(there))
    drawn = drawn[:: -(-len(drawn) // MOST_FRAMES)]
    rows = {name: np.concatenate([track[name] for track in tracks])[drawn] for name in tracks[0].embs}
    labels = {"speed": (speed[drawn], None), "recording": (number[drawn], [recording.name for recording in recordings])}
    i, start = next((i, int(one.argmax())) for i, one in enumerate(there) if one.any())
    shown = slice(start, start + round(SHOWN_S * (tracks[i].fps or USUAL_FPS)))
    begin = {name: emb[shown] for name, emb in tracks[i].embs.items()}
    place = {"fps": tracks[i].fps, "first_frame": tracks[i].first_frame / tracks[i].frame_step + start}
    return {
        "latents": plots.plot_latents(rows, labels),
        "recording": plots.plot_recording(begin, points[i][shown], **place),
    }


def _speed(track: np.ndarray, fps: float | None) -> np.ndarray:
    """Median over the keypoints of (T, K, d), per second, or per frame without a rate; NaN = not known."""
    steps = norm(np.diff(track, axis=0, prepend=np.nan * track[:1]))
    return np.ma.median(np.ma.masked_invalid(steps), axis=1).filled(np.nan) * (fps or 1)
