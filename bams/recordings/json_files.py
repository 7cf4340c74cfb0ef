"""Tracks of mice in JSON: of MARS, and of CalMS21, which holds annotated behaviour too."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bams.recordings.frames import as_float32
from bams.recordings.recording import Recording
from bams.storage.files import read_json

CALMS21_RATE = 30.0
CALMS21 = ["nose", "left_ear", "right_ear", "neck", "left_hip", "right_hip", "tail_base"]
MARS = ["nose", "right_ear", "left_ear", "neck", "right_side", "left_side", "tail_base"]
MARS_FRONT = [*MARS, "left_front_paw", "right_front_paw", "left_rear_paw", "right_rear_paw"]
MICE = ["resident", "intruder"]


def read_calms21(content: dict[str, Any], path: Path) -> list[Recording]:
    """The sequences of CalMS21, whose content is JSON or the pickled dict that its own script makes of that.

    The annotations are the labels `behavior`, as text; in task 3, whose files name behaviours in place of annotators,
    the labels have the name of the behaviour.
    """
    times = Counter(name for sequences in content.values() for name in sequences)
    found = []
    for annotator, sequences in content.items():
        for name, sequence in sequences.items():
            if "keypoints" not in sequence:
                raise ValueError(f"{name} holds {', '.join(sequence)} and no keypoints; give the file of the same task")
            labels = {}
            if len(sequence.get("annotations", [])):
                task = "behavior" if annotator.startswith(("annotator", "unlabeled")) else annotator
                labels = {task: _annotations(sequence, name)}
            name = name if times[name] == 1 else f"{annotator}/{name}"
            found.append(_recording(sequence, name, CALMS21, CALMS21_RATE, path, labels))
    return found


def _annotations(sequence: dict[str, Any], name: str) -> np.ndarray:
    """The behaviour in each frame, (T,) str."""
    numbers, frames = np.asarray(sequence["annotations"]), len(sequence["keypoints"])
    if numbers.shape != (frames,):
        raise ValueError(f"{name} has {len(numbers)} annotations for {frames} frames")
    behaviours = {number: word for word, number in sequence.get("metadata", {}).get("vocab", {}).items()}
    return np.array([str(behaviours.get(number, number)) for number in numbers.tolist()])


def read_mars(path: Path) -> Recording:
    """Tracks of MARS (Mouse Action Recognition System)."""
    content = read_json(path)
    if missing := {"keypoints", "scores"} - set(content):
        raise ValueError(f"it has {', '.join(content)}, and no {missing.pop()}")
    names = next((each for each in (MARS, MARS_FRONT) if len(each) == np.shape(content["keypoints"][0])[-1]), [])
    return _recording(content, path.stem, names, None, path, {})


def _recording(
    content: dict[str, Any], name: str, names: Sequence[str], fps: float | None, path: Path, labels: dict
) -> Recording:
    """A recording from `keypoints` (T, A, 2, K) and perhaps `scores` (T, A, K)."""
    keypoints = as_float32(np.asarray(content["keypoints"]))
    if keypoints.ndim != 4:
        raise ValueError(f"the keypoints of {name} have axes {keypoints.shape}; expected frames, mice, 2, keypoints")
    keypoints = keypoints.transpose(1, 0, 3, 2)
    animals, _, points, _ = keypoints.shape
    confidence = as_float32(np.asarray(content["scores"])).swapaxes(0, 1) if "scores" in content else None
    individuals = MICE if animals == len(MICE) else [f"individual{i}" for i in range(animals)]
    names = list(names) if points == len(names) else [f"keypoint{i}" for i in range(points)]
    return Recording(name, keypoints, confidence, individuals, names, fps, path, labels=labels)
