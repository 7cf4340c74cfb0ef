"""Features of one recording, of whatever kind it is."""

from collections.abc import Sequence

import numpy as np

from bams.features.animals import animal_features
from bams.features.columns import Features
from bams.features.config import FeatureConfig
from bams.features.plain import series_features


def recording_features(recording: np.ndarray, config: FeatureConfig, names: Sequence[str] | None = None) -> Features:
    """Features of the tracks that are made of a recording's: of each individual, or of all joined.

    Args:
        recording: (A, T, K, d) keypoints or (A, T, F) series, float32, any unit; NaN = missing.
        config: which features.
        names: K names of the keypoints.
    """
    found = series_features(recording) if recording.ndim == 3 else animal_features(recording, config, names)
    return join_animals(found) if config.tracks == "joint" else found


def join_animals(features: Features) -> Features:
    """Features of A tracks -> of one track that has those of all animals, one after the other."""
    inputs, actions, valid, *names = features
    individuals, frames, _ = inputs.shape
    flat = [np.moveaxis(part, 0, 1).reshape(1, frames, -1) for part in (inputs, actions, valid)]
    joined = [tuple(f"individual{i}_{name}" for i in range(individuals) for name in some) for some in names]
    return Features(*flat, *joined)
