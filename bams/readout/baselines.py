"""Baselines that a trained model is compared with: its input, and itself before training."""

from collections.abc import Mapping

import numpy as np
from torch import Tensor, nn

from bams.compute.devices import own_draws
from bams.models.bams import BAMS


class InputAlone(nn.Module):
    """Takes the place of a model when embedding: the embedding of a frame is its input, scaled as the model does."""

    context = 0

    def __init__(self, model: BAMS):
        super().__init__()
        self.scale = model.scale
        self.sizes = {"input": model.config["input_size"]}

    def encode(self, input: Tensor) -> Mapping[str, Tensor]:
        """The scaled input (B, T, F) float32, as if of an encoder `input`."""
        return {"input": self.scale(input)}


def random_weights(model: BAMS, seed: int = 0) -> BAMS:
    """The same network and input scale with new random weights; torch's global generator is left as it is."""
    with own_draws(seed=seed):
        fresh = BAMS(**model.config)
    fresh.scale.load_state_dict(model.scale.state_dict())
    return fresh


def moving_mean(values: np.ndarray, frames: int) -> np.ndarray:
    """Mean over the last `frames` frames, or over as many as there are; (..., T, C) float32 in and out."""
    total = np.cumsum(values, axis=-2, dtype=np.float64)
    total[..., frames:, :] = total[..., frames:, :] - total[..., :-frames, :]
    number = np.minimum(np.arange(1, values.shape[-2] + 1), frames)[:, None]
    return (total / number).astype(np.float32)


def principal_components(table: np.ndarray, most_columns: int) -> np.ndarray:
    """The first `most_columns` principal components, the strongest first; (frames, C) float32 in and out."""
    # scikit-learn's PCA computes in float32 or copies the table to float64; this is exact and copies only parts
    mean = table.mean(axis=0, dtype=np.float64)
    parts = [slice(first, first + 2**16) for first in range(0, len(table), 2**16)]
    covariance = sum((table[part] - mean).T @ (table[part] - mean) for part in parts)
    directions = np.linalg.eigh(covariance)[1][:, ::-1][:, :most_columns]
    result = np.empty((len(table), directions.shape[1]), np.float32)
    for part in parts:
        result[part] = (table[part] - mean) @ directions
    return result
