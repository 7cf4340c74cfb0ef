"""From features to training windows: data sets, labels, and which recordings are held out."""

from bams.data.dataset import Dataset
from bams.data.keypoints import KeypointsDataset

__all__ = ["Dataset", "KeypointsDataset"]
