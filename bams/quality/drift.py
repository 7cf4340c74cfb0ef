"""Do new recordings look like those that a model was trained on?

Axes: K keypoints, C channels of an encoder. Lengths are in body lengths.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bams.quality.shapes import ShapeChange, find_change
from bams.quality.training_summary import Reference, describe, describe_embeddings
from bams.recordings.recording import Recording, check_skeleton

DEVIATIONS = 3  # differences that recordings have among themselves are no drift
# Smaller ones than these do no harm. Ratios of lengths, of speeds, of confidences; shares of frames; deviations.
LEAST_SCALE, LEAST_SPEED, LEAST_CONFIDENCE, LEAST_MISSING, LEAST_EMBEDDING = 1.15, 1.4, 0.85, 0.2, 0.5
LEAST_PLACE, LEAST_SPREAD = 0.08, 0.5  # body lengths; of the keypoint's own spread
LEAST_RATE = 1.02  # cameras of one kind differ by less


@dataclass(frozen=True)
class DriftReport:
    """What differs, a sentence each; none = nothing does."""

    findings: list[str]
    recordings: int

    def __str__(self) -> str:
        count = f"{self.recordings} recording{'s' * (self.recordings != 1)}"
        if not self.findings:
            return f"no drift found: {count} look like those the model was trained on"
        return "\n".join([f"{count} differ from those the model was trained on:", *self.findings])


def compare(
    reference: Reference, recordings: Sequence[Recording], embeddings: Mapping[str, np.ndarray] | None = None
) -> DriftReport:
    """What of new recordings differs from those that a model was trained on.

    Small differences, and those that the recordings of the reference have among themselves, are none.

    Args:
        reference: from `describe`, with `embeddings` set if these are to be compared.
        recordings: the new ones.
        embeddings: of these, by encoder, (..., C); NaN = no frame.

    Raises:
        ValueError: there is no recording, or their keypoints are others than the reference's.
    """
    check_skeleton(reference.keypoint_names, recordings)
    new = describe(recordings)
    shape, change = _shape_findings(reference, new)
    findings = [
        *shape,
        *_scale_findings(reference, new, change),
        *_rate_findings(reference, new),
        *_tracking_findings(reference, new, change.order),
        *_embedding_findings(reference.embeddings, describe_embeddings(embeddings or {})),
    ]
    return DriftReport(findings, len(recordings))


def _tolerance(reference: Reference, new: Reference, name: str) -> np.ndarray:
    """How far medians over the parts of each lie apart by chance, at most."""
    old = np.nan_to_num(getattr(reference, name))
    larger = np.maximum(old, np.nan_to_num(getattr(new, name)))
    # pieces of recordings stand for recordings only where the reference has no more than pieces either
    count = new.parts if reference.parts > reference.recordings else new.recordings
    return DEVIATIONS * np.sqrt(old**2 / reference.parts + larger**2 / count)


def _shape_findings(reference: Reference, new: Reference) -> tuple[list[str], ShapeChange]:
    least = np.fmax(LEAST_PLACE, LEAST_SPREAD * reference.spread)
    tolerance = np.maximum(least, _tolerance(reference, new, "shape_deviation"))
    change = find_change(reference.shape, new.shape, tolerance, reference.spread)
    names, found = reference.keypoint_names, []
    if change.mirrored:
        found.append("the bodies are mirrored: is the video flipped, or are left and right exchanged in all names?")
    for pairs in change.exchanged:
        said = ", or ".join(f"{names[p]} and {names[q]}" for p, q in pairs)
        found.append(f"{said} are exchanged: so the bodies have the shape of training; mend the names with --rename")
    if change.moved.any():
        said = ", ".join(f"{names[k]} ({change.distance[k]:.2f})" for k in np.flatnonzero(change.moved))
        found.append(f"elsewhere on the body than in training, by body lengths: {said}; are they the same points?")
    return found, change


def _scale_findings(reference: Reference, new: Reference, change: ShapeChange) -> list[str]:
    ratio = new.body_length / reference.body_length * change.scale
    least = max(math.log(LEAST_SCALE), _tolerance(reference, new, "body_length_deviation"))
    if not abs(math.log(ratio)) > least:  # NaN: not known
        return []
    return [
        f"bodies are {ratio:.2f} times as long as in training: another unit, camera or age of the animals? "
        "multiply the coordinates, or train on both"
    ]


def _rate_findings(reference: Reference, new: Reference) -> list[str]:
    if reference.fps and new.fps and abs(math.log(new.fps / reference.fps)) > math.log(LEAST_RATE):
        return [f"there are {new.fps:g} frames per second, {reference.fps:g} in training: resample them to that rate"]
    ratio = new.speed / reference.speed
    if not abs(math.log(ratio)) > max(math.log(LEAST_SPEED), _tolerance(reference, new, "speed_deviation")):
        return []
    why = "other behaviour" if reference.fps and new.fps else "another frame rate, or other behaviour"
    return [f"keypoints move {ratio:.2f} times as far per frame, in body lengths: {why}?"]


def _tracking_findings(reference: Reference, new: Reference, order: np.ndarray) -> list[str]:
    """Less confidence and more gaps, by keypoint, `order` being those of the new ones that are each one's."""
    missing, confidence = new.missing[order], new.confidence[order]
    more = missing - reference.missing > np.maximum(LEAST_MISSING, _tolerance(reference, new, "missing_deviation"))
    drop = np.maximum((1 - LEAST_CONFIDENCE) * reference.confidence, _tolerance(reference, new, "confidence_deviation"))
    less = reference.confidence - confidence > drop
    found = []
    for kind, which, here, there, form in (
        ("are missing more often", more, missing, reference.missing, ".0%"),
        ("have lower confidences", less, confidence, reference.confidence, ".2f"),
    ):
        said = [
            f"{reference.keypoint_names[k]} ({here[k]:{form}} against {there[k]:{form}})" for k in np.flatnonzero(which)
        ]
        if said:
            found.append(f"keypoints {kind}: {', '.join(said)}; does the tracker know these animals and this light?")
    return found


def _embedding_findings(
    reference: Mapping[str, tuple[np.ndarray, np.ndarray]], new: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> list[str]:
    found = []
    for name in reference.keys() & new.keys():
        mean, deviation = reference[name]
        varies = deviation > 0
        shift = math.sqrt(np.mean(((new[name][0] - mean)[varies] / deviation[varies]) ** 2)) if varies.any() else 0
        if shift > LEAST_EMBEDDING:
            found.append(f"embeddings of {name} lie {shift:.2f} deviations from those of training, on the whole")
    return sorted(found)
