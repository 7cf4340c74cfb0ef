"""Recordings in `.npy` and `.npz` files."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from bams.recordings.recording import Recording, as_recordings
from bams.storage.files import read_arrays


def read_padded(path: str | Path) -> list[Recording]:
    """Recordings from a `.npy` array, or an `.npz` with the array `keypoints`.

    Args:
        path: the array is (N, T, F) series, (N, T, K, d) keypoints, or (S, A, T, K, d) keypoints of several
            individuals in each recording; any unit; NaN = missing, or padding at the end. If wanted, the `.npz`
            also has `keypoint_names` (K), `recording_ids` (S or N), `individual_names` (A), `lengths` (S or N),
            the frames of each recording, and `fps`.

    Raises:
        FileNotFoundError, ValueError: there is no such file or array, or it does not fit.
    """
    arrays = read_arrays(path)
    if "keypoints" not in arrays:
        raise ValueError(f"{path} has the arrays {', '.join(arrays) or 'none'}; expected one named keypoints")
    kinds = ("keypoint_names", "recording_ids", "individual_names")
    names = {kind: arrays[kind].astype(str).tolist() for kind in kinds if kind in arrays}
    fps = arrays.get("fps", np.array(None))
    if "fps" in arrays and (fps.size != 1 or fps.dtype.kind not in "fiu"):
        raise ValueError(f"fps has {fps.size} values of type {fps.dtype}; expected one number, of all recordings")
    fps = None if "fps" not in arrays else float(fps.item())
    found = as_recordings(arrays["keypoints"], names, arrays.get("lengths"), fps, Path(path))
    return [replace(found[0], name=Path(path).stem)] if len(found) == 1 and "recording_ids" not in names else found
