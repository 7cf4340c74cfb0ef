"""Embeddings of recordings with several individuals, pooled over these: any number, in any order."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from tqdm import tqdm

from bams.compute import distributed
from bams.embed.offline import MakeInputs, embed_recording
from bams.features.gaps import tracked_presence
from bams.models.bams import BAMS


def embed_recordings(
    model: BAMS, recordings: Iterable[np.ndarray], make_inputs: MakeInputs, device: str | torch.device = "cpu"
) -> Iterator[np.ndarray]:
    """Embeddings of recordings, pooled over the individuals, one recording after the other.

    Each (A, T, K, d) float32, NaN = not tracked, yields (T, 2*C) float32, C of all encoders joined: mean, then range.
    Where nobody is present all individuals are pooled, so that every number is finite.
    """
    for recording in recordings:
        present = tracked_presence(recording)
        present |= ~present.any(axis=0)
        blocks = embed_recording(model, recording, make_inputs, device)
        joined = ((span, np.concatenate(list(embs.values()), axis=-1)) for span, embs in blocks)
        yield np.concatenate([pool_individuals(embs, present[:, span]) for span, embs in joined])


def pool_individuals(embs: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Mean over the individuals present, joined with their range; free of order and number.

    Embeddings (A, T, C) float32 and `present` (A, T) bool give (T, 2*C) float32; NaN where nobody is present.
    """
    there = present[..., None]
    count = there.sum(axis=0)
    mean = np.where(there, embs, 0).sum(axis=0) / np.maximum(count, 1)
    highest = np.where(there, embs, -np.inf).max(axis=0)
    lowest = np.where(there, embs, np.inf).min(axis=0)
    spread = np.subtract(highest, lowest, out=np.zeros_like(mean), where=count > 0)
    return np.where(count > 0, np.concatenate([mean, spread], axis=-1), np.nan).astype(np.float32)


def standardise(table: np.ndarray) -> np.ndarray:
    """Bring each column of (frames, C) float32 to mean 0 and deviation 1, in place; a constant column becomes 0."""
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
    recordings: Iterable[np.ndarray],
    spans: Sequence[tuple[int, int]],
    make_inputs: MakeInputs,
    device: str | torch.device = "cpu",
    table: np.ndarray | None = None,
) -> np.ndarray:
    """One table of the pooled embeddings of all recordings, see `embed_recordings`.

    Each of several processes embeds its share. The spans are the rows (start, end) of each recording in the table,
    (frames, 2*C) float32, which is common to all processes; it is made in memory unless given.
    """
    if table is None:
        table = np.empty((max(end for _, end in spans), 2 * sum(model.sizes.values())), np.float32)
    own = islice(recordings, distributed.rank(), None, distributed.count())
    pooled = embed_recordings(model, own, make_inputs, device)
    spans = distributed.share(spans)
    for span, rows in zip(spans, tqdm(pooled, "clips", total=len(spans)), strict=True):
        table[slice(*span)] = rows
    return table
