"""Files that hold the same recording, which must not be learnt from, or held out, as two."""

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from bams.recordings.recording import Recording
from bams.storage.files import content_key

SOME_FRAMES = 1000  # of a recording that are compared
# what trackers append to the name of a video: SLEAP .predictions, DeepLabCut its network and the way it tracks
NETWORK = r"(DLC_\w+shuffle\d+|_superanimal_(topviewmouse|quadruped|bird|humanbody)).*$"
APPENDED = (r"\.analysis$", r"_filtered$", r"(\.\w+)?\.predictions$", r"_(el|sk|bx)$", f"(?<=.){NETWORK}")
VERSION = r"\.v\d{3}$"  # of a project of SLEAP
OF_PROJECT = r"(\.\d{3}_.*)?\.analysis$"  # what SLEAP appends to the name of a project for one of its videos


def check_names_differ(files: Iterable[Path]) -> None:
    """Raise ValueError if two files of a folder have the names that trackers give to the tracks of one video."""
    by_name: dict[Path, Path] = {}
    files = sorted(set(files))
    projects = {file.with_suffix(""): file for file in files if file.suffix.lower() == ".slp"}
    for file in files:
        stem = re.sub(VERSION, "", file.stem) if file.suffix.lower() == ".slp" else file.stem
        for pattern in APPENDED:
            stem = re.sub(pattern, "", stem)
        project = projects.get(file.with_name(re.sub(OF_PROJECT, "", file.stem)), file)
        other = by_name.setdefault(file.with_name(stem), file) if project == file else project
        if other != file:
            raise ValueError(
                f"{other.name} and {file.name} in {file.parent} seem to be the same recording; give a pattern "
                "that matches only one of them, such as '*.h5', or a list of files, or leave one of them out"
            )


def check_keypoints_differ(recordings: Sequence[Recording]) -> None:
    """Raise ValueError if two files hold the same keypoints and one has the other's name in its own; else warn."""
    found: dict[str, Recording] = {}
    for one in recordings:
        there = np.flatnonzero(np.isfinite(one.keypoints).any(axis=(0, *range(2, one.keypoints.ndim))))
        if len(there):  # in arrays a recording may be empty
            tracked = one.keypoints[:, there[0] : there[-1] + 1]
            every = -(-tracked.shape[1] // SOME_FRAMES)
            other = found.setdefault(content_key(str(tracked.shape), tracked[:, ::every]), one)
            if other.path != one.path:
                said = f"{other.source} and {one.source} hold the same keypoints; leave one of them out"
                stems = [path.stem if path else "" for path in (other.path, one.path)]
                if stems[0] in stems[1] or stems[1] in stems[0]:
                    raise ValueError(said)
                print(f"warning: {said} if they are one recording", file=sys.stderr)
