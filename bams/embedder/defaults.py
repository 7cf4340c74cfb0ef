"""Defaults for your own recordings: settings, sizes of the network, and how recordings become windows."""

from collections.abc import Sequence
from typing import Any

from bams.data.keypoints import KeypointsDataset
from bams.features.config import FeatureConfig
from bams.recordings.recording import Recording, track_names

# chosen with benchmarks/readout.py
DEFAULTS: dict[str, Any] = {
    "epochs": 0,
    "lr": 2e-3,
    "lr_schedule": "cosine",
    "sequence_length": 600,
    "skip_frames": 10,
    "views": 16,
    "near_frames": 15,
    "far_frames": 60,
}
CHANNELS = 128  # of an embedding: all encoders, and the pooling of individuals, taken together


def sizes(pooled: bool) -> dict[str, Any]:
    """Sizes of the network; half the channels where individuals are pooled, as their mean and range are joined."""
    each = CHANNELS // (4 if pooled else 2)
    return {
        "short_term": {"num_channels": (64, 64, 64, each), "kernel_size": 3},
        "long_term": {"num_channels": (64, 64, 64, 64, each), "kernel_size": 3, "dilation": 4},
        "hidden_layers": (256, 512, 512),
    }


def make_dataset(recordings: Sequence[Recording], config: FeatureConfig, **options: Any) -> KeypointsDataset:
    """Windows of recordings; `options` go to `KeypointsDataset.of_recordings`."""
    options["cache"] = options.get("cache_path") is not None
    arrays, names = [one.keypoints for one in recordings], recordings[0].keypoint_names or None
    dataset = KeypointsDataset.of_recordings(arrays, config=config, keypoint_names=names, **options)
    dataset.track_names = track_names(recordings)
    return dataset
