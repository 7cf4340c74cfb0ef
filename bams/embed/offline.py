"""Embeddings of whole recordings by a trained model, block by block: memory does not grow with their length."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch

from bams.features.gaps import fill_gaps, observed
from bams.models.bams import BAMS

BLOCK = 2**14  # frames embedded at once, of all tracks together

MakeInputs = Callable[[np.ndarray], np.ndarray]  # (A, T, K, d) or (A, T, F) -> inputs of its tracks (A, T, F)


def embed_blocks(
    model: BAMS, blocks: Iterable[np.ndarray], device: str | torch.device = "cpu"
) -> Iterator[dict[str, np.ndarray]]:
    """Embed tracks that come block by block; the embeddings equal those of whole tracks, without dropout.

    Blocks (A, n, F) float32, unscaled and finite, are the next frames of the same A tracks; each yields (A, n, C)
    float32 by encoder name. The model is moved to the device; its mode stays.
    """
    training = model.training
    model.to(device).eval()
    before = None
    try:
        for block in blocks:
            joined = np.array(block) if before is None else np.concatenate([before, block], axis=1)
            with torch.inference_mode():
                embs = model.encode(torch.from_numpy(joined).to(device))
            yield {name: emb[:, -block.shape[1] :].float().cpu().numpy() for name, emb in embs.items()}
            before = joined[:, max(joined.shape[1] - model.context, 0) :]
    finally:
        model.train(training)


def embed_tracks(
    model: BAMS, tracks: Iterable[np.ndarray], device: str | torch.device = "cpu"
) -> Iterator[dict[str, np.ndarray]]:
    """Embed whole tracks (T, F) float32, unscaled and finite; each yields (T, C) float32 by encoder name."""
    for track in tracks:
        blocks = (track[None, first : first + BLOCK] for first in range(0, len(track), BLOCK))
        parts = list(embed_blocks(model, blocks, device))
        yield {name: np.concatenate([part[name][0] for part in parts]) for name in parts[0]}


def embed_recording(
    model: BAMS, recording: np.ndarray, make_inputs: MakeInputs, device: str | torch.device = "cpu"
) -> Iterator[tuple[slice, dict[str, np.ndarray]]]:
    """Embed a recording (A, T, K, d) or (A, T, F) of any length, NaN = not tracked, block by block.

    Yields the frames of a block, and by encoder name their embeddings (A, n, C) float32. `make_inputs` makes finite
    inputs of a frame from it, the frame before, and the last observed positions.
    """
    individuals, total = recording.shape[:2]
    frames = max(BLOCK // individuals, 1)
    spans = [slice(first, min(first + frames, total)) for first in range(0, total, frames)]

    def input_blocks() -> Iterator[np.ndarray]:
        before = recording[:, :0]
        for span in spans:
            joined = np.concatenate([before, recording[:, span]], axis=1)
            yield make_inputs(joined)[:, span.start - span.stop :]
            before = carry_over(joined)

    yield from zip(spans, embed_blocks(model, input_blocks(), device), strict=True)


def carry_over(recording: np.ndarray) -> np.ndarray:
    """What the inputs of later frames need of the frames so far (A, T, ...), which may begin with an earlier result.

    (A, 2, ...): the last observed positions before the last frame, then the last frame; (A, 1, ...) if T is 1.
    """
    earlier = recording[:, :-1]
    seen = observed(earlier) if earlier.ndim == 4 else np.isfinite(earlier)
    return np.concatenate([fill_gaps(earlier, seen)[:, -1:], recording[:, -1:]], axis=1)


def compute_representations(
    model: BAMS, dataset: torch.utils.data.Dataset, device: str | torch.device = "cpu"
) -> dict[str, np.ndarray]:
    """Embeddings of all tracks of a `Dataset`, each embedded whole.

    By encoder name, (N, T, C) float32, T the longest track; NaN where a track has no frame, and outside the first and
    last frame in which it was observed, if the data set knows these (`present`).
    """
    tracks = [dataset.track_input(i) for i in range(dataset.n_tracks)]
    shape = len(tracks), max(map(len, tracks))
    result = {name: np.full((*shape, size), np.nan, np.float32) for name, size in model.sizes.items()}
    present = dataset.present or [np.ones(len(track), bool) for track in tracks]
    for i, embs in enumerate(embed_tracks(model, tracks, device)):
        for name, emb in embs.items():
            result[name][i, : len(emb)][present[i]] = emb[present[i]]
    return result
