"""Recordings from tables with a column for each coordinate of each keypoint of each individual."""

import sys
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import numpy as np

from bams.recordings.frames import by_frame
from bams.recordings.recording import Recording

CONFIDENCES = ("likelihood", "confidence", "conf", "score", "probability", "prob", "p")
# what names of columns mean, in lower case
KINDS = {"x": "x", "y": "y", "z": "z"} | dict.fromkeys(CONFIDENCES, "likelihood")
Key = tuple[str, str, str]  # individual, keypoint, kind: x, y, z or likelihood


def recording_of(
    columns: Mapping[Key, int], values: np.ndarray, frames: np.ndarray, path: Path, lines: np.ndarray | None = None
) -> Recording:
    """A recording from values (R, C) float32, whose columns have these keys, and the frame numbers (R,) of the rows.

    `lines` (R,) are the places of the rows in the file. What one individual has and another lacks is NaN.
    """
    individuals = list(dict.fromkeys(individual for individual, _, _ in columns))
    if "single" in individuals and len(individuals) > 1:  # DeepLabCut's unique body parts, such as corners of the arena
        print(f"{path}: left out 'single', which holds points that belong to no animal", file=sys.stderr)
        individuals.remove("single")
    columns = {key: column for key, column in columns.items() if key[0] in individuals}
    coordinates = "xyz" if any(kind == "z" for _, _, kind in columns) else "xy"
    for individual, keypoint, _ in columns:
        for kind in coordinates:
            if (individual, keypoint, kind) not in columns:
                raise ValueError(f"its keypoint {keypoint!r} of {individual!r} lacks a column {kind}")
    keypoints = list(dict.fromkeys(keypoint for _, keypoint, _ in columns))
    first, values = by_frame(frames, values, path, lines)
    # a column of NaN at the end, for keypoints that an individual lacks
    values = np.column_stack([values, np.full(len(values), np.nan, np.float32)])
    wanted = [columns.get(key, -1) for key in product(individuals, keypoints, (*coordinates, "likelihood"))]
    selected = values[:, wanted].reshape(len(values), len(individuals), len(keypoints), -1).swapaxes(0, 1)
    confidence = selected[..., -1] if any(kind == "likelihood" for _, _, kind in columns) else None
    return Recording(path.stem, selected[..., :-1], confidence, individuals, keypoints, None, path, first)
