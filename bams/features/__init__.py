"""From keypoints to numbers per frame: what the network sees, and the actions that it predicts."""

from bams.features.columns import Features
from bams.features.config import FeatureConfig
from bams.features.distances import Nearest
from bams.features.gaps import fill_gaps
from bams.features.recording import FeatureSource, recording_features
from bams.features.skeletons import Body, OrientedTable, PoseTable, Segment, oriented_features, pose_features

__all__ = [
    "Body",
    "FeatureConfig",
    "FeatureSource",
    "Features",
    "Nearest",
    "OrientedTable",
    "PoseTable",
    "Segment",
    "fill_gaps",
    "oriented_features",
    "pose_features",
    "recording_features",
]
