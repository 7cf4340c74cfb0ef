"""Recordings: trackers' files in, cleaned keypoints out."""

from bams.recordings.about import read_about, with_about
from bams.recordings.cleaning import CleaningConfig
from bams.recordings.events import label_recordings, read_events
from bams.recordings.load import load_poses
from bams.recordings.recording import Recording, as_recordings

__all__ = [
    "CleaningConfig",
    "Recording",
    "as_recordings",
    "label_recordings",
    "load_poses",
    "read_about",
    "read_events",
    "with_about",
]
