"""Embeddings of animal behaviour at several timescales, learnt from keypoints without labels.

The legend of axes, used in every docstring: S recordings, A individuals in a recording, N tracks (one
individual in one recording; N = S*A, S-major), T frames, K keypoints, d coordinates, F input features,
D action features, Q bins of the histogram of actions, W its window in frames, C embedding channels of one
encoder, B tracks in a batch. `valid` is True where something was observed. Angles are radians in (-pi, pi];
lengths are in the caller's unit; time is in frames unless a name ends in `_s`.
"""

import sys
from importlib.metadata import version

from bams import checkpoint, plots, simulate
from bams.checkpoint import load_checkpoint, load_released
from bams.data.dataset import Dataset
from bams.data.keypoints import KeypointsDataset
from bams.embed.export import write_embeddings
from bams.embed.offline import compute_representations
from bams.embed.online import StreamingEncoder
from bams.embed.pooled import pool_individuals
from bams.embed.tracks import TrackEmbedding
from bams.embedder import BAMSEmbedder
from bams.features.config import FeatureConfig
from bams.losses import HoALoss, bootstrap_loss, earth_mover_distance, histogram_of_actions
from bams.models.bams import BAMS, MLP
from bams.models.tcn import TemporalConvNet
from bams.readout import linear_eval
from bams.readout.linear_eval import (
    evaluate_labels,
    train_linear_classfier,
    train_linear_classifier,
    train_linear_regressor,
)
from bams.recordings.cleaning import CleaningConfig
from bams.recordings.load import load_poses
from bams.recordings.recording import Recording, as_recordings
from bams.statistics import Statistics
from bams.training.config import TrainConfig
from bams.training.loop import train

sys.modules["bams.linear_eval"] = linear_eval  # its path in the released code of the paper

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
    "checkpoint",
    "compute_representations",
    "earth_mover_distance",
    "evaluate_labels",
    "histogram_of_actions",
    "linear_eval",
    "load_checkpoint",
    "load_poses",
    "load_released",
    "plots",
    "pool_individuals",
    "simulate",
    "train",
    "train_linear_classfier",
    "train_linear_classifier",
    "train_linear_regressor",
    "write_embeddings",
]
