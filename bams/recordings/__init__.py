"""Recordings: trackers' files in, cleaned keypoints out."""

from bams.recordings.cleaning import CleaningConfig
from bams.recordings.load import load_poses
from bams.recordings.recording import Recording, as_recordings

__all__ = ["CleaningConfig", "Recording", "as_recordings", "load_poses"]
