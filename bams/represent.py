"""A frozen model -> embeddings of every frame, per track and per group."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from bams.models import BAMS
from bams.recordings import tracked_presence

FRAMES_AT_ONCE = 60_000  # tracks of equal length are embedded together up to this many frames
RECORDINGS_AT_ONCE = 16  # so that the features of all recordings are never in memory together


def embed_tracks(
    model: BAMS, tracks: list[np.ndarray], device: str | torch.device = "cpu"
) -> Iterator[dict[str, np.ndarray]]:
    """Embed whole tracks one after the other, in their order, without gradients or dropout.

    Args:
        model: in any mode; it is left in the mode in which it came.
        tracks: (T, F) float32 each, unscaled and finite, as `Dataset.track_input` gives them.
        device: where to compute; the model is moved there.

    Yields:
        by encoder name, (T, C) float32 of the next track.
    """
    training = model.training
    model.to(device).eval()
    try:
        first = 0
        while first < len(tracks):
            last, frames = first + 1, len(tracks[first])
            while (
                last < len(tracks)
                and len(tracks[last]) == frames
                and (last - first + 1) * frames <= FRAMES_AT_ONCE
            ):
                last += 1
            with torch.inference_mode():
                embs = model.encode(torch.from_numpy(np.stack(tracks[first:last])).to(device))
            arrays = {name: emb.float().cpu().numpy() for name, emb in embs.items()}
            for i in range(last - first):
                yield {name: array[i] for name, array in arrays.items()}
            first = last
    finally:
        model.train(training)


def compute_representations(
    model: BAMS, dataset: torch.utils.data.Dataset, device: str | torch.device = "cpu"
) -> dict[str, np.ndarray]:
    """Embeddings of all tracks of a `Dataset`, each embedded whole.

    Returns:
        by encoder name, (N, T, C) float32, T the longest track; NaN where a track has no frame.
    """
    tracks = [dataset.track_input(i) for i in range(dataset.n_tracks)]
    shape = len(tracks), max(map(len, tracks))
    result: dict[str, np.ndarray] = {}
    for i, embs in enumerate(embed_tracks(model, tracks, device)):
        for name, emb in embs.items():
            if name not in result:
                result[name] = np.full((*shape, emb.shape[1]), np.nan, np.float32)
            result[name][i, : len(emb)] = emb
    return result


def embed_recordings(
    model: BAMS,
    recordings: list[np.ndarray],
    make_dataset: Callable[[list[np.ndarray]], Any],
    device: str | torch.device = "cpu",
) -> Iterator[np.ndarray]:
    """Embed recordings with several individuals, a few at a time, pooled over the individuals.

    Args:
        model: as in `embed_tracks`.
        recordings: (A, T, K, d) float32 each; NaN = not tracked.
        make_dataset: recordings -> `Dataset` with one track per individual, with the model's statistics.
        device: where to compute.

    Yields:
        (T, 2*C) float32 of the next recording, C of all encoders joined: mean, then range. Frames in which
        nobody is present pool all individuals, so that every number is finite.
    """
    for first in range(0, len(recordings), RECORDINGS_AT_ONCE):
        some = recordings[first : first + RECORDINGS_AT_ONCE]
        dataset = make_dataset(some)
        tracks = embed_tracks(model, [dataset.track_input(i) for i in range(dataset.n_tracks)], device)
        for recording in some:
            embs = [np.concatenate(list(next(tracks).values()), axis=-1) for _ in recording]
            present = tracked_presence(recording)
            present |= ~present.any(axis=0)
            yield pool_individuals(np.stack(embs), present)


def pool_recordings(embs: np.ndarray, recordings: list[np.ndarray]) -> np.ndarray:
    """Pool the individuals of each recording.

    Args:
        embs: (N, T, C) float32, tracks in the order of recordings and individuals.
        recordings: S arrays (A, T_i, K, d), NaN = not tracked: they say who is present when.

    Returns:
        (S, T, 2*C) float32, NaN where nobody is present.
    """
    _, frames, size = embs.shape
    pooled = np.full((len(recordings), frames, 2 * size), np.nan, np.float32)
    track = 0
    for recording, row in zip(recordings, pooled, strict=True):
        individuals, length = recording.shape[:2]
        row[:length] = pool_individuals(embs[track : track + individuals, :length], tracked_presence(recording))
        track += individuals
    return pooled


def pool_individuals(embs: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Mean over the individuals present, joined with their range; free of order and number.

    Args:
        embs: (A, T, C) float32, embeddings of the individuals of one recording.
        present: (A, T) bool.

    Returns:
        (T, 2*C) float32; NaN where nobody is present.
    """
    there = present[..., None]
    count = there.sum(axis=0)
    mean = np.where(there, embs, 0).sum(axis=0) / np.maximum(count, 1)
    highest = np.where(there, embs, -np.inf).max(axis=0)
    lowest = np.where(there, embs, np.inf).min(axis=0)
    spread = np.subtract(highest, lowest, out=np.zeros_like(mean), where=count > 0)
    return np.where(count > 0, np.concatenate([mean, spread], axis=-1), np.nan).astype(np.float32)


def standardise(table: np.ndarray) -> np.ndarray:
    """Bring each column of (frames, C) float32 to mean 0 and deviation 1, in place, as the table may be large.

    A constant column becomes 0.
    """
    frames, _ = table.shape
    parts = [slice(first, first + 2**16) for first in range(0, frames, 2**16)]
    mean = sum(table[part].sum(axis=0, dtype=np.float64) for part in parts) / frames
    variance = sum(np.square(table[part] - mean).sum(axis=0) for part in parts) / frames
    deviation = np.where(variance > 0, np.sqrt(variance), 1)
    for part in parts:
        table[part] = (table[part] - mean) / deviation
    return table


def embed_table(
    model: BAMS,
    recordings: list[np.ndarray],
    spans: Sequence[tuple[int, int]],
    make_dataset: Callable[[list[np.ndarray]], Any],
    device: str | torch.device = "cpu",
) -> np.ndarray:
    """One table of the pooled embeddings of all recordings (see `embed_recordings`).

    Args:
        model, recordings, make_dataset, device: as there.
        spans: of each recording its rows (start, end); together they fill the table.

    Returns:
        (frames, 2*C) float32.
    """
    table = np.empty((0, 0), np.float32)
    pooled = embed_recordings(model, recordings, make_dataset, device)
    for span, rows in zip(spans, tqdm(pooled, "clips", total=len(recordings)), strict=True):
        if table.size == 0:
            table = np.empty((max(end for _, end in spans), rows.shape[1]), np.float32)
        table[slice(*span)] = rows
    return table
