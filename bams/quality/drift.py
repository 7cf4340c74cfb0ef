"""Do new recordings look like those that a model was trained on?

Axes: K keypoints, C channels of an encoder. Lengths are in body lengths.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bams.quality.shapes import ShapeChange, find_change
from bams.quality.training_summary import TrainingSummary, describe, describe_embeddings
from bams.recordings.recording import Recording, check_skeleton

DEVIATIONS = 3  # differences of fewer deviations are as large as among the training recordings
# Smaller differences do no harm: ratios of lengths, speeds, confidences and frame rates, shares of frames, standard
# deviations of embeddings, body lengths of a keypoint's place, and its spreads.
LEAST_SCALE, LEAST_SPEED, LEAST_CONFIDENCE, LEAST_RATE, LEAST_MISSING = 1.15, 1.4, 0.85, 1.02, 0.2
LEAST_EMBEDDING, LEAST_PLACE, LEAST_SPREAD = 0.5, 0.08, 0.5


@dataclass(frozen=True)
class DriftReport:
    """The differences that were found, one sentence each, and the number of recordings compared."""

    findings: list[str]
    recordings: int

    def __str__(self) -> str:
        count = f"{self.recordings} recording{'s' * (self.recordings != 1)}"
        if not self.findings:
            return f"no drift found: {count} look like those the model was trained on"
        return "\n".join([f"{count} differ from those the model was trained on:", *self.findings])


def compare(
    reference: TrainingSummary, recordings: Sequence[Recording], embeddings: Mapping[str, np.ndarray] | None = None
) -> DriftReport:
    """How new recordings differ from those that a model was trained on; ValueError if they have other keypoints.

    Small differences, and differences no larger than among the training recordings, are not reported. The embeddings of
    the new recordings, (..., C) by encoder, NaN = no frame, are compared if the reference has embeddings too.
    """
    check_skeleton(reference.keypoint_names, recordings)
    new = describe(recordings)
    least = np.fmax(LEAST_PLACE, LEAST_SPREAD * reference.spread)
    tolerance = np.maximum(least, _tolerance(reference, new, "shape_deviation"))
    change = find_change(reference.shape, new.shape, tolerance, reference.spread)
    findings = [
        *_shape_findings(reference.keypoint_names, change),
        *_scale_findings(reference, new, change),
        *_rate_findings(reference, new),
        *_tracking_findings(reference, new, change.order),
        *_embedding_findings(reference, embeddings or {}),
    ]
    return DriftReport(findings, len(recordings))


def rate_findings(trained: float | None, new: float | None) -> list[str]:
    """A sentence if the frames per second, None = not known, differ from those in training."""
    if not trained or not new or abs(math.log(new / trained)) <= math.log(LEAST_RATE):
        return []
    return [f"there are {new:g} frames per second, {trained:g} in training: --resample {trained:g} gives that rate"]


def _tolerance(reference: TrainingSummary, new: TrainingSummary, name: str) -> np.ndarray:
    """How much the medians over the parts may differ by chance; `name` is the field with the deviation."""
    old = np.nan_to_num(getattr(reference, name))
    larger = np.maximum(old, np.nan_to_num(getattr(new, name)))
    # pieces count as independent only if the reference consists of pieces too
    count = new.parts if reference.parts > reference.recordings else new.recordings
    return DEVIATIONS * np.sqrt(old**2 / reference.parts + larger**2 / count)


def _shape_findings(names: Sequence[str], change: ShapeChange) -> list[str]:
    found = []
    if change.mirrored:
        found.append("the bodies are mirrored: is the video flipped, or are left and right exchanged in all names?")
    for pairs in change.exchanged:
        said = ", or ".join(f"{names[p]} and {names[q]}" for p, q in pairs)
        found.append(f"{said} are exchanged, which explains the shape of the bodies; correct the names with --rename")
    if change.moved.any():
        said = ", ".join(f"{names[k]} ({change.distance[k]:.2f})" for k in np.flatnonzero(change.moved))
        found.append(f"keypoints are elsewhere on the body than in training, by body lengths: {said}; same points?")
    return found


def _scale_findings(reference: TrainingSummary, new: TrainingSummary, change: ShapeChange) -> list[str]:
    ratio = new.body_length / reference.body_length * change.scale
    least = max(math.log(LEAST_SCALE), _tolerance(reference, new, "body_length_deviation"))
    said = "another unit, camera or age of the animals? multiply the coordinates, or train on both kinds"
    known_and_large = abs(math.log(ratio)) > least  # False for NaN, where a length is not known
    return [f"bodies are {ratio:.2f} times as long as in training: {said}"] if known_and_large else []


def _rate_findings(reference: TrainingSummary, new: TrainingSummary) -> list[str]:
    if found := rate_findings(reference.fps, new.fps):
        return found
    ratio = new.speed / reference.speed
    why = "other behaviour" if reference.fps and new.fps else "another frame rate, or other behaviour"
    large = abs(math.log(ratio)) > max(math.log(LEAST_SPEED), _tolerance(reference, new, "speed_deviation"))
    return [f"keypoints move {ratio:.2f} times as far per frame, in body lengths: {why}?"] if large else []


def _tracking_findings(reference: TrainingSummary, new: TrainingSummary, order: np.ndarray) -> list[str]:
    """Keypoints with more gaps or less confidence; `order` maps each reference keypoint to the new one."""
    least = {"missing": LEAST_MISSING, "confidence": (1 - LEAST_CONFIDENCE) * reference.confidence}
    kinds = ("missing", "are missing more often", 1, ".0%"), ("confidence", "have lower confidences", -1, ".2f")
    found = []
    for name, kind, sign, form in kinds:
        here, there = getattr(new, name)[order], getattr(reference, name)
        worse = sign * (here - there) > np.maximum(least[name], _tolerance(reference, new, f"{name}_deviation"))
        names = reference.keypoint_names
        said = [f"{names[k]} ({here[k]:{form}} against {there[k]:{form}})" for k in np.flatnonzero(worse)]
        if said:
            found.append(f"keypoints {kind}: {', '.join(said)}; does the tracker know these animals and this light?")
    return found


def _embedding_findings(reference: TrainingSummary, embeddings: Mapping[str, np.ndarray]) -> list[str]:
    found, new = [], describe_embeddings(embeddings)
    for name in sorted(reference.embeddings.keys() & new.keys()):
        mean, deviation = reference.embeddings[name]
        varies = deviation > 0
        shift = math.sqrt(np.mean(((new[name][0] - mean)[varies] / deviation[varies]) ** 2)) if varies.any() else 0
        if shift > LEAST_EMBEDDING:
            found.append(f"embeddings of {name} are {shift:.2f} standard deviations from those of training")
    return found
