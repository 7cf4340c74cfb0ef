"""Files of tools whose tracks are not read: by whom they are, and the way in."""

import re
from pathlib import Path
from typing import Any

from scipy.io import whosmat

ARRAY = "save the points as the array keypoints, (tracks, frames, keypoints, coordinates), in an .npz"
SAME_VIDEO = "give the .csv or .h5 with the tracks of the same video"
Known = tuple[str, str]  # what a file is, and what to do

# what is found in the beginning of a text file
TEXTS: dict[str, Known] = {
    r"\{.*\"people\"\s*:": (
        "a JSON of OpenPose, which holds one image",
        f"collect the people of all frames and {ARRAY}",
    ),
    r"\[\s*\{.*\"image_id\"": ("a JSON with detections, of AlphaPose or COCO", f"link them to tracks and {ARRAY}"),
    r"\[\s*\{.*\"bodyparts\"": ("a JSON of DeepLabCut with detections before tracking", SAME_VIDEO),
    r"\{.*\"skeletons\"\s*:": ("an old JSON project of SLEAP", "open it in SLEAP and save it as .slp"),
    r"\{.*\"(images|annotations|categories)\"\s*:\s*\[": (
        "a COCO JSON, which holds keypoints of single images and no tracks",
        f"track whole videos and give their tracks, or {ARRAY}",
    ),
    r".*region_shape_attributes": (
        "a table of the VGG Image Annotator (VIA), which holds regions and no tracks of keypoints",
        f"track keypoints, or {ARRAY}",
    ),
    r".*\blength\W+orientation\W+likelihood": ("the table of DeepLabCut with lengths of bones", SAME_VIDEO),
    r"[^\n]*\bExperiment\b[^\n]*\n[^\n]*\bStatus\b": (
        "a table of DeepLabStream",
        f"analyse the video with DeepLabCut, or {ARRAY}",
    ),
    r"[^\n]*#wcentroid": ("a table of TRex", "let TRex write .npz (output_format) and give these files"),
}
# the datasets in an HDF5 file
DATASETS: dict[str, Known] = {
    "annotations annotated skeleton": (
        "an annotation set of DeepPoseKit, which holds labels of single images",
        f"predict the videos, and {ARRAY}",
    ),
    "Facemap": ("an .h5 of Facemap", f"read x and y of each keypoint in its group Facemap, and {ARRAY}"),
    "model_snapshots": ("a model of keypoint-moseq", "give the tracks that it was trained on"),
}
MOSEQ = "a result file of keypoint-moseq, which holds syllables", "give the tracks that it was applied to"
ULTRALYTICS = "a label file of ultralytics, which holds one image", f"collect the keypoints of all frames and {ARRAY}"
DANNCE = (
    "a MATLAB file of DANNCE with 3-D points",
    "save pred as the array keypoints, (animals, frames, keypoints, 3), in an .npz",
)
MATLAB = "a MATLAB file", "save the keypoints as a plain array in an .npz"
MOUSE_TRACKER = "a database of Live Mouse Tracker", f"read the points in its table DETECTION, and {ARRAY}"
DETECTIONS = "a pickle of DeepLabCut with detections before tracking", SAME_VIDEO


def of_text(text: str, path: Path) -> Known | None:
    """What a file is that begins with this text, if it is known and holds no tracks that can be read."""
    if path.suffix.lower() == ".txt" and re.match(r"\d+( -?\d[\d.e+-]*){4,}\s*$", text, re.MULTILINE):
        return ULTRALYTICS
    return next((known for found, known in TEXTS.items() if re.match(found, text.lstrip(), re.DOTALL)), None)


def of_hdf5(file: Any) -> Known | None:
    """What an HDF5 file is, if it is known and holds no tracks that can be read."""
    for names, known in DATASETS.items():
        if set(names.split()) <= set(file):
            return known
    first = file[next(iter(file))] if len(file) else file
    return MOSEQ if "syllable" in getattr(first, "keys", list)() else None


def of_matlab(path: Path) -> Known:
    """What a MATLAB file is."""
    try:
        names = {name for name, *_ in whosmat(path)}
    except Exception:  # version 7.3, or damaged
        return MATLAB
    return DANNCE if {"pred", "sampleID"} <= names else MATLAB


def of_bytes(head: bytes, path: Path) -> Known | None:
    """What a binary file is, if it is known and holds no tracks that can be read."""
    if head.startswith((b"PAR1", b"ARROW1", b"FEA1")):
        return f"a {'Parquet' if head.startswith(b'PAR1') else 'Feather'} file", f"save the table as .csv, or {ARRAY}"
    if head.startswith(b"SQLite format 3\0"):
        return MOUSE_TRACKER if b"DETECTION" in head else ("an SQLite database", ARRAY)
    if head.startswith(b"MATLAB"):
        return of_matlab(path)
    if head.startswith(b"\x80") and re.search(r"_(full|meta|el|bx|sk|ctd|assemblies)$", path.stem):
        return DETECTIONS
    return None
