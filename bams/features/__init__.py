"""From keypoints to numbers per frame: what the network sees, and the actions that it predicts."""

from bams.features.columns import Features, Nearest
from bams.features.config import FeatureConfig
from bams.features.geometry import fill_gaps, observed
from bams.features.oriented import OrientedTable, oriented_features
from bams.features.recording import FeatureSource, recording_features
from bams.features.skeletons import Body, PoseTable, Segment, pose_features

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
    "observed",
    "oriented_features",
    "pose_features",
    "recording_features",
]
