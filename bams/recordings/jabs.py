"""Files of JABS (The Jackson Laboratory): `NAME_pose_est_v2.h5` of one mouse, v3 and later of several."""

import sys
from pathlib import Path

import numpy as np

from bams.recordings.frames import as_float32
from bams.recordings.recording import Recording
from bams.recordings.tracklets import place
from bams.storage.files import optional

KEYPOINTS = ["NOSE", "LEFT_EAR", "RIGHT_EAR", "BASE_NECK", "LEFT_FRONT_PAW", "RIGHT_FRONT_PAW", "CENTER_SPINE"]
KEYPOINTS += ["LEFT_REAR_PAW", "RIGHT_REAR_PAW", "BASE_TAIL", "MID_TAIL", "TIP_TAIL"]
DATASETS = ("points", "confidence", "instance_count", "instance_track_id", "instance_embed_id", "id_mask")


def read_jabs(path: Path) -> Recording:
    """Tracks in which each identity is an individual; where the file has none, as in v3, each tracklet.

    A keypoint is not tracked where its confidence is 0. (sleap-io reads these files too, but takes 2 ms for a frame,
    and fails where a frame of a single mouse is empty.)
    """
    with optional("h5py").File(path) as file:
        poses = {name: file["poseest"][name][()] for name in DATASETS if name in file["poseest"]}
    points, confidence = as_float32(poses["points"])[..., ::-1], as_float32(poses["confidence"])  # stored as y, x
    if points.ndim == 3:
        points, confidence = points[:, None], confidence[:, None]
    if points.shape[2] != len(KEYPOINTS):
        raise ValueError(f"it holds {points.shape[2]} keypoints, not the {len(KEYPOINTS)} of JABS")
    points = np.where(confidence[..., None] > 0, points, np.nan)
    tracked = (confidence > 0).any(axis=-1)
    identities = np.ones(tracked.shape, int)
    if "instance_embed_id" in poses:
        identities = poses["instance_embed_id"].astype(int)
        named = tracked & (identities > 0) & (poses.get("id_mask", np.zeros_like(identities)) == 0)
        if lost := int((tracked & ~named).sum()):
            said = f"left out {lost} of {tracked.sum()} detections, which have no identity"
            print(f"{path}: {said}", file=sys.stderr)
        tracked = named
    elif "instance_track_id" in poses:
        identities = poses["instance_track_id"].astype(int)
        tracked &= np.arange(tracked.shape[1]) < poses["instance_count"][:, None]
    if not tracked.any():
        raise ValueError("no animal is tracked: no detection has a confidence above 0 and an identity")
    found, chosen = np.unique(identities[tracked], return_inverse=True)
    frames, length = np.nonzero(tracked)[0], len(tracked)
    placed = [place(values[tracked], frames, chosen, length) for values in (points, confidence)]
    return Recording(path.stem, *placed, [str(name) for name in found], KEYPOINTS, None, path)
