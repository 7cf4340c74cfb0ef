"""Recordings in `.npy` and `.npz` files."""

from dataclasses import replace
from pathlib import Path

from bams.recordings.recording import Recording, as_recordings
from bams.storage.files import read_arrays


def read_padded(path: Path) -> list[Recording]:
    """Recordings from a `.npy` array, or from the array `keypoints` of an `.npz`.

    The array is (N, T, F) series, (N, T, K, d) keypoints, or (S, A, T, K, d) keypoints of several individuals in each
    recording; any unit; NaN = missing, or padding at the end. The `.npz` may also hold `keypoint_names` (K),
    `recording_ids` (S or N), `individual_names` (A), `lengths` in frames (S or N), and `fps`.
    """
    arrays = read_arrays(path)
    if "keypoints" not in arrays:
        raise ValueError(f"{path} has the arrays {', '.join(arrays) or 'none'}; expected one named keypoints")
    kinds = ("keypoint_names", "recording_ids", "individual_names")
    names = {kind: arrays[kind].astype(str).tolist() for kind in kinds if kind in arrays}
    fps = float(arrays["fps"].item()) if "fps" in arrays else None
    found = as_recordings(arrays["keypoints"], names, arrays.get("lengths"), fps, path)
    return [replace(found[0], name=path.stem)] if len(found) == 1 and "recording_ids" not in names else found
