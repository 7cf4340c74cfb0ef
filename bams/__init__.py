"""Embeddings of animal behaviour at several timescales, learnt from keypoints without labels.

The legend of axes, used in every docstring: S recordings, A individuals in a recording, N tracks (one
individual in one recording; N = S*A, S-major), T frames, K keypoints, F input features, D action features,
Q bins of the histogram of actions, W its window in frames, C embedding channels of one encoder, B tracks in
a batch. `valid` is True where something was observed. Angles are radians in (-pi, pi]; lengths are in the
caller's unit; time is in frames unless a name ends in `_s`.
"""

from importlib.metadata import version

from bams.checkpoint import load_checkpoint, load_released
from bams.config import CleaningConfig, FeatureConfig, TrainConfig
from bams.data import Dataset
from bams.embedder import BAMSEmbedder
from bams.exports import TrackEmbedding, write_embeddings
from bams.keypoints import KeypointsDataset
from bams.linear_eval import (
    evaluate_labels,
    train_linear_classfier,
    train_linear_classifier,
    train_linear_regressor,
)
from bams.losses import HoALoss, bootstrap_loss, earth_mover_distance, histogram_of_actions
from bams.models import BAMS, MLP, TemporalConvNet
from bams.poses import load_poses
from bams.recordings import Recording, as_recordings
from bams.represent import compute_representations, pool_individuals
from bams.statistics import Statistics
from bams.stream import StreamingEncoder
from bams.train import train

__version__ = version("bams")

__all__ = [
    "BAMS",
    "MLP",
    "BAMSEmbedder",
    "CleaningConfig",
    "Dataset",
    "FeatureConfig",
    "HoALoss",
    "KeypointsDataset",
    "Recording",
    "Statistics",
    "StreamingEncoder",
    "TemporalConvNet",
    "TrackEmbedding",
    "TrainConfig",
    "as_recordings",
    "bootstrap_loss",
    "compute_representations",
    "earth_mover_distance",
    "evaluate_labels",
    "histogram_of_actions",
    "load_checkpoint",
    "load_poses",
    "load_released",
    "pool_individuals",
    "train",
    "train_linear_classfier",
    "train_linear_classifier",
    "train_linear_regressor",
    "write_embeddings",
]
