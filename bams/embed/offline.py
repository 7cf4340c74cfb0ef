"""A frozen model -> embeddings of every frame, per track and per group."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from tqdm import tqdm

from bams.compute import distributed
from bams.features.geometry import fill_gaps, observed, tracked_presence
from bams.models.bams import BAMS

BLOCK = 2**14  # frames of all tracks together that are embedded at once

MakeInputs = Callable[[np.ndarray], np.ndarray]  # (A, T, K, d) or (A, T, F) -> inputs of its tracks (A, T, F)


def embed_blocks(
    model: BAMS, blocks: Iterable[np.ndarray], device: str | torch.device = "cpu"
) -> Iterator[dict[str, np.ndarray]]:
    """Embed tracks that come block by block, as if they came whole; without gradients or dropout.

    Args:
        model: in any mode; it is left in the mode in which it came.
        blocks: (A, n, F) float32 each, unscaled and finite: the next frames of the same A tracks.
        device: where to compute; the model is moved there.

    Yields:
        by encoder name, (A, n, C) float32 of the next block.
    """
    training = model.training
    model.to(device).eval()
    before = None
    try:
        for block in blocks:
            _, frames, _ = block.shape
            joined = np.array(block) if before is None else np.concatenate([before, block], axis=1)
            with torch.inference_mode():
                embs = model.encode(torch.from_numpy(joined).to(device))
            yield {name: emb[:, -frames:].float().cpu().numpy() for name, emb in embs.items()}
            before = joined[:, max(joined.shape[1] - model.context, 0) :]
    finally:
        model.train(training)


def embed_tracks(
    model: BAMS, tracks: Iterable[np.ndarray], device: str | torch.device = "cpu"
) -> Iterator[dict[str, np.ndarray]]:
    """Embed whole tracks of any length one after the other, in their order.

    Args:
        model, device: as of `embed_blocks`.
        tracks: (T, F) float32 each, unscaled and finite, as `Dataset.track_input` gives them.

    Yields:
        by encoder name, (T, C) float32 of the next track.
    """
    for track in tracks:
        blocks = (track[None, first : first + BLOCK] for first in range(0, len(track), BLOCK))
        parts = list(embed_blocks(model, blocks, device))
        yield {name: np.concatenate([part[name][0] for part in parts]) for name in parts[0]}


def embed_recording(
    model: BAMS, recording: np.ndarray, make_inputs: MakeInputs, device: str | torch.device = "cpu"
) -> Iterator[tuple[slice, dict[str, np.ndarray]]]:
    """Embed a recording of any length block by block, as if whole: features and embeddings of a block at once.

    Args:
        model, device: as of `embed_blocks`.
        recording: (A, T, K, d) keypoints or (A, T, F) series, NaN = not tracked.
        make_inputs: makes finite inputs, each frame's of itself, the one before and what was last seen.

    Yields:
        the frames of a block, and by encoder name the embeddings (A, n, C) float32; or of one track that has all
        individuals, if `make_inputs` joins them.
    """
    individuals, total = recording.shape[:2]
    frames = max(BLOCK // individuals, 1)
    spans = [slice(first, min(first + frames, total)) for first in range(0, total, frames)]
    blocks = _input_blocks(recording, make_inputs, spans)
    yield from zip(spans, embed_blocks(model, blocks, device), strict=True)


def _input_blocks(recording: np.ndarray, make_inputs: MakeInputs, spans: Sequence[slice]) -> Iterator[np.ndarray]:
    """Inputs of each span."""
    before = recording[:, :0]
    for span in spans:
        frames = np.concatenate([before, recording[:, span]], axis=1)
        yield make_inputs(frames)[:, span.start - span.stop :]
        before = carry_over(frames)


def carry_over(recording: np.ndarray) -> np.ndarray:
    """All that the inputs of later frames need of a recording up to now.

    Args:
        recording: (A, T, K, d) or (A, T, F), NaN = not tracked; its beginning may be what was carried over.

    Returns:
        (A, 2, ...), what was last seen before the last frame, and that frame; of one frame alone (A, 1, ...).
    """
    return np.concatenate([last_seen(recording[:, :-1]), recording[:, -1:]], axis=1)


def last_seen(recording: np.ndarray) -> np.ndarray:
    """What was last seen of each keypoint, or number, by the end: (A, T, ...) -> (A, 1, ...), NaN = never."""
    seen = observed(recording) if recording.ndim == 4 else np.isfinite(recording)
    return fill_gaps(recording, seen)[:, -1:]


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
    recordings: Iterable[np.ndarray],
    make_inputs: MakeInputs,
    device: str | torch.device = "cpu",
) -> Iterator[np.ndarray]:
    """Embed recordings with several individuals one after the other, pooled over the individuals.

    Args:
        model, make_inputs, device: as of `embed_recording`.
        recordings: (A, T, K, d) float32 each; NaN = not tracked.

    Yields:
        (T, 2*C) float32 of the next recording, C of all encoders joined: mean, then range. Frames in which
        nobody is present pool all individuals, so that every number is finite.
    """
    for recording in recordings:
        present = tracked_presence(recording)
        present |= ~present.any(axis=0)
        blocks = embed_recording(model, recording, make_inputs, device)
        joined = ((span, np.concatenate(list(embs.values()), axis=-1)) for span, embs in blocks)
        yield np.concatenate([pool_individuals(embs, present[:, span]) for span, embs in joined])


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
    recordings: Iterable[np.ndarray],
    spans: Sequence[tuple[int, int]],
    make_inputs: MakeInputs,
    device: str | torch.device = "cpu",
    table: np.ndarray | None = None,
) -> np.ndarray:
    """One table of the pooled embeddings of all recordings (see `embed_recordings`).

    Args:
        model, recordings, make_inputs, device: as there; of several processes each embeds its share.
        spans: of each recording its rows (start, end); together they fill the table.
        table: (frames, 2*C) float32 to fill, which processes have in common; made in memory unless given.

    Returns:
        the table.
    """
    if table is None:
        table = np.empty((max(end for _, end in spans), 2 * sum(model.sizes.values())), np.float32)
    own = islice(recordings, distributed.rank(), None, distributed.count())
    pooled = embed_recordings(model, own, make_inputs, device)
    spans = distributed.share(spans)
    for span, rows in zip(spans, tqdm(pooled, "clips", total=len(spans)), strict=True):
        table[slice(*span)] = rows
    return table
