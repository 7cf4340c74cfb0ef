"""Signs that the numbers of recordings are not what they are read as, and which setting reads them right."""

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from bams.recordings.body_length import body_length
from bams.recordings.recording import Recording
from bams.storage.files import listed

FEW = 5  # frames in which a number may stand for a position by chance
LONG = 30  # frames in a row in which no animal is exactly at one place
CONSTANT = 0.95  # share of its frames that a point which marks a place, or the origin, is there
PIXELS = 10.0  # coordinates that spread more than this are not in metres


def sentence(problem: str, cases: Sequence[tuple[str, str]], advice: str) -> list[str]:
    """One sentence about cases, pairs of a recording and a part of it or ""; no sentence if there is no case."""
    by_recording, alike = defaultdict(list), defaultdict(list)
    for recording, part in cases:
        by_recording[recording].append(part)
    for recording, parts in by_recording.items():
        alike[listed(parts)].append(recording)
    said = [f"{parts} in {listed(names)}" if parts else listed(names) for parts, names in alike.items()]
    return [f"{problem}: {listed(said, '; ')}: {advice}"] if said else []


def reading_warnings(recordings: Sequence[Recording]) -> list[str]:
    """What seems to be read wrongly in recordings as `load_poses` gives them, with names, a sentence for each kind."""
    recordings = [one for one in recordings if one.keypoints.ndim == 4]
    found: dict[float, list[tuple[str, str]]] = defaultdict(list)
    still = []
    for one in recordings:
        numbers = placeholders(one.keypoints)
        for number, where in numbers.items():
            found[number] += [(one.name, part) for part in _parts(one, where)]
        still += [(one.name, part) for part in _parts(one, held(one.keypoints, list(numbers)))]
    warnings = []
    for number, cases in found.items():
        shown = np.format_float_positional(np.float32(number), trim="-")
        problem = f"keypoints at {shown} in all coordinates, which seems to stand for not tracked"
        warnings += sentence(problem, cases, f"--missing_value {shown} takes them as not tracked")
    problem = "keypoints that jump to or from exactly one place, which seems to stand for not tracked or to be held"
    warnings += sentence(problem, still, "write NaN where they are not tracked")
    thirds = [(one.name, "") for one in recordings if third_seems_confidence(one.keypoints)]
    problem = "the third coordinate lies in 0 ... 1 throughout (or is 0, 1, 2): probably a confidence, and no height"
    return warnings + sentence(problem, thirds, "--third confidence takes it as confidence")


def say_reading_warnings(recordings: Sequence[Recording]) -> None:
    """Say on stderr what seems to be read wrongly, if anything does."""
    for warning in reading_warnings(recordings):
        print(f"warning: {warning}", file=sys.stderr)


def placeholders(keypoints: np.ndarray) -> dict[float, np.ndarray]:
    """Numbers that seem to stand for "not tracked" in (A, T, K, d), and where: (A, K) bool.

    All coordinates of a keypoint have the number, in several frames, and two keypoints of an animal at once, or it is
    at most 0, where no animal is in pixels. A keypoint that is always there, such as the origin, is no sign alone.
    """
    first, count = keypoints[..., 0], keypoints.shape[2]
    same = np.isfinite(keypoints).all(axis=-1) & (keypoints == keypoints[..., :1]).all(axis=-1)
    same &= keypoints.shape[-1] > 1
    found = {}
    for number, times in zip(*np.unique(first[same], return_counts=True), strict=True):
        if times >= FEW:
            there = same & (first == number)
            frames, tracked = there.sum(axis=1), np.isfinite(first).sum(axis=1)
            alone = (frames >= FEW) & ((frames < CONSTANT * tracked) | (count == 1))
            if ((there.sum(axis=-1) > 1).sum(axis=1) >= FEW).any() or (number <= 0 and alone.any()):
                found[float(number)] = frames > 0
    return found


def held(keypoints: np.ndarray, known: Sequence[float]) -> np.ndarray:
    """(A, K) bool: keypoints of (A, T, K, d) that seem to be at made-up places, others than at the `known` numbers.

    They jump, by more than a body length, to exactly the same place several times, or to or from a place at which they
    stay for long without the least change.
    """
    found = np.zeros((len(keypoints), keypoints.shape[2]), bool)
    keypoints = np.where(np.isin(keypoints, known).all(axis=-1, keepdims=True), np.float32(np.nan), keypoints)
    steps = np.linalg.norm(np.diff(keypoints.astype(float), axis=1), axis=-1)
    animals, frames, points = np.nonzero(steps > body_length(keypoints))
    places = keypoints[animals, frames + 1, points]
    _, place, times = np.unique(places, axis=0, return_inverse=True, return_counts=True)
    again = times[place.reshape(-1)] >= FEW
    found[animals[again], points[again]] = True
    for a, frame, k in zip(animals, frames, points, strict=True):
        before, after = steps[a, max(frame - LONG + 1, 0) : frame, k], steps[a, frame + 1 : frame + LONG, k]
        found[a, k] |= any(len(part) == LONG - 1 and not part.any() for part in (before, after))
    return found


def third_seems_confidence(keypoints: np.ndarray) -> bool:
    """Whether all third coordinates of (A, T, K, d) are from 0 to 1 (or 2, of COCO); see the constants."""
    if keypoints.shape[-1] != 3:
        return False
    known = np.isfinite(keypoints).all(axis=-1) & (keypoints != keypoints[..., :1]).any(axis=-1)
    places = keypoints[known]
    third = places[:, 2]
    if not third.any() or not (((third >= 0) & (third <= 1)) | (third == 2)).all():
        return False
    return bool(np.ptp(places[:, :2], axis=0).max() > PIXELS or np.median(third) > 0.5)


def _parts(recording: Recording, where: np.ndarray) -> Iterator[str]:
    """Names of animals, or of keypoints of an animal, at which `where` (A, K) is true."""
    for animal, row in zip(recording.individuals, where, strict=True):
        of = f" of {animal}" if len(where) > 1 else ""
        if row.all():
            yield animal if of else "all keypoints"
        else:
            yield from (f"{name}{of}" for name, there in zip(recording.keypoint_names, row, strict=True) if there)
