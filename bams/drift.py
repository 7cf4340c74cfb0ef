"""Do new recordings look like those that a model was trained on?

Axes: A individuals, T frames, K keypoints, d coordinates, C channels of an encoder. Lengths are in body lengths.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from bams.recordings import Recording
from bams.shapes import ShapeChange, align, body_length, find_change, mean_shape, median, sample

PARTS = 8  # fewer recordings are cut into so many parts, to see how much parts differ
FRAMES_OF_SHAPE = 4000  # of all parts together
SPEED_QUANTILE = 0.95
DEVIATIONS = 4  # differences that recordings have among themselves are no drift
# Smaller ones than these do no harm. Ratios of lengths, of speeds, of confidences; shares of frames; deviations.
LEAST_SCALE, LEAST_SPEED, LEAST_CONFIDENCE, LEAST_MISSING, LEAST_EMBEDDING = 1.15, 1.4, 0.85, 0.15, 0.5
LEAST_PLACE = 0.05  # body lengths
RATE_DIFFERENCE = 0.02  # of frames per second; cameras of one kind differ by less


@dataclass(frozen=True)
class Reference:
    """What recordings look like; numbers, names and arrays only, so that a checkpoint can keep it.

    A deviation is how much recordings differ, robustly; where there are few, parts of them.

    Attributes:
        keypoint_names: K names.
        recordings: how many.
        fps: frames per second, None = not known or of several rates.
        body_length: median over recordings, the tracker's unit; NaN = not known, as of one keypoint.
        body_length_deviation: of its logarithm.
        shape: (K, d) float64, body lengths, in no particular direction; NaN = never tracked.
        spread: (K,) float64, body lengths: median distance of a keypoint to its place in the shape.
        shape_deviation: (K,) float64, body lengths: that of its place.
        speed: 95th percentile of the steps of keypoints, body lengths per frame.
        speed_deviation: of its logarithm.
        confidence, confidence_deviation: (K,) float64, median, as the tracker gives it; NaN = not given.
        missing, missing_deviation: (K,) float64, shares of the frames of all individuals that are ever tracked.
        embeddings: mean and deviation over frames, each (C,), by encoder; see `describe_embeddings`.
    """

    keypoint_names: tuple[str, ...]
    recordings: int
    fps: float | None
    body_length: float
    body_length_deviation: float
    shape: np.ndarray
    spread: np.ndarray
    shape_deviation: np.ndarray
    speed: float
    speed_deviation: float
    confidence: np.ndarray
    confidence_deviation: np.ndarray
    missing: np.ndarray
    missing_deviation: np.ndarray
    embeddings: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)


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


def check_skeleton(reference_names: Sequence[str], recordings: Sequence[Recording]) -> None:
    """Check that recordings have the keypoints, in the order, that a model was trained on.

    Raises:
        ValueError: one has not; which keypoints differ.
    """
    names = list(reference_names)
    for recording in recordings:
        found = list(recording.keypoint_names)
        missing = [name for name in names if name not in found]
        added = [name for name in found if name not in names]
        said = [f"it lacks {', '.join(missing)}"] * bool(missing) + [f"it also has {', '.join(added)}"] * bool(
            added
        )
        if not said and found != names:
            said = [f"they stand in the order {', '.join(found)}"]
        if said:
            raise ValueError(
                f"{recording.name} has other keypoints than the model, {', '.join(names)}: {'; '.join(said)}; "
                "rename and order them with --rename and --keypoints"
            )


def describe(recordings: Sequence[Recording]) -> Reference:
    """What recordings look like.

    Raises:
        ValueError: there is none, or their keypoints differ.
    """
    if not recordings:
        raise ValueError("there is no recording to describe")
    names = tuple(recordings[0].keypoint_names)
    check_skeleton(names, recordings)
    parts = _parts(recordings)
    lengths = np.array([body_length(part) for part, _ in parts])
    shape, spread, shape_deviation = _shapes([part for part, _ in parts], lengths)
    speeds = np.array([_speed(part) / length for (part, _), length in zip(parts, lengths, strict=True)])
    missing = np.stack([_missing(part) for part, _ in parts])
    confidences = np.stack([_confidence(given, len(names)) for _, given in parts])
    rates = {recording.fps for recording in recordings}
    speed, speed_deviation = _over_parts(np.log(np.where(speeds > 0, speeds, np.nan)))
    length, length_deviation = _over_parts(np.log(lengths))
    return Reference(
        names,
        len(recordings),
        rates.pop() if len(rates) == 1 else None,
        float(np.exp(length)),
        float(length_deviation),
        shape,
        spread,
        shape_deviation,
        float(np.exp(speed)),
        float(speed_deviation),
        *_over_parts(confidences),
        *_over_parts(missing),
    )


def describe_embeddings(embeddings: Mapping[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Mean and deviation of each channel over all frames.

    Args:
        embeddings: by encoder, (..., C) float; NaN = no frame.

    Returns:
        by encoder, two arrays (C,) float64; NaN where there is no frame.
    """
    found = {}
    for name, embedding in embeddings.items():
        frames = np.asarray(embedding, float).reshape(-1, embedding.shape[-1])
        frames = frames[np.isfinite(frames).all(axis=1)]
        empty = np.full(embedding.shape[-1], np.nan)
        found[name] = (frames.mean(axis=0), frames.std(axis=0)) if len(frames) else (empty, empty)
    return found


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


def _parts(recordings: Sequence[Recording]) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Keypoints and confidences of recordings; of few, cut in time into as many parts as make `PARTS`."""
    cuts = math.ceil(PARTS / len(recordings))
    found = []
    for recording in recordings:
        edges = np.unique(np.linspace(0, recording.keypoints.shape[1], cuts + 1).round().astype(int))
        for begin, end in pairwise(edges):
            confidence = None if recording.confidence is None else recording.confidence[:, begin:end]
            found.append((recording.keypoints[:, begin:end], confidence))
    return found


def _shapes(parts: Sequence[np.ndarray], lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean shape (K, d) in body lengths, the keypoints' spread around it (K,), and the parts' deviation (K,)."""
    ever = np.any([np.isfinite(part).all(axis=-1).any(axis=(0, 1)) for part in parts], axis=0)
    least = max(2, math.ceil(ever.sum() / 2))
    most = math.ceil(FRAMES_OF_SHAPE / len(parts))
    frames = [
        sample(part, least, most) / length
        for part, length in zip(parts, lengths, strict=True)
        if np.isfinite(length)
    ]
    if not frames:
        unknown = np.full(parts[0].shape[-2:], np.nan)
        return unknown, unknown[:, 0], unknown[:, 0]
    shape = mean_shape(np.concatenate(frames))
    aligned = [align(some, shape) for some in frames]
    spread = median(np.linalg.norm(np.concatenate(aligned) - shape, axis=-1))
    places = align(np.stack([median(some) for some in aligned]), shape)
    return shape, spread, median(np.linalg.norm(places - shape, axis=-1))


def _speed(keypoints: np.ndarray) -> float:
    steps = np.linalg.norm(np.diff(keypoints.astype(float), axis=1), axis=-1)
    steps = steps[np.isfinite(steps)]
    return float(np.quantile(steps, SPEED_QUANTILE)) if steps.size else float("nan")


def _missing(keypoints: np.ndarray) -> np.ndarray:
    seen = np.isfinite(keypoints).all(axis=-1)
    there = seen[seen.any(axis=(1, 2))]
    return 1 - there.mean(axis=(0, 1)) if len(there) else np.ones(seen.shape[2])


def _confidence(confidence: np.ndarray | None, count: int) -> np.ndarray:
    if confidence is None:
        return np.full(count, np.nan)
    return median(confidence.reshape(-1, count).astype(float))


def _over_parts(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and deviation over parts, robust: 1.48 median distances are one deviation of a bell curve."""
    middle = median(values)
    return middle, 1.4826 * median(np.abs(values - middle))


def _tolerance(reference: Reference, new: Reference, name: str) -> np.ndarray:
    """How far medians over the recordings of each lie apart by chance, at most."""
    old = np.nan_to_num(getattr(reference, name))
    larger = np.maximum(old, np.nan_to_num(getattr(new, name)))
    return DEVIATIONS * np.sqrt(old**2 / reference.recordings + larger**2 / new.recordings)


def _shape_findings(reference: Reference, new: Reference) -> tuple[list[str], ShapeChange]:
    tolerance = np.maximum(LEAST_PLACE, _tolerance(reference, new, "shape_deviation"))
    change = find_change(reference.shape, new.shape, tolerance)
    names, found = reference.keypoint_names, []
    if change.mirrored:
        found.append(
            "the bodies are mirrored: is the video flipped, or are left and right exchanged in all names?"
        )
    for pairs in change.exchanged:
        said = ", or ".join(f"{names[p]} and {names[q]}" for p, q in pairs)
        found.append(
            f"{said} are exchanged: so the bodies have the shape of training; mend the names with --rename"
        )
    for k in np.flatnonzero(change.moved):
        found.append(
            f"{names[k]} lies {change.distance[k]:.2f} body lengths from its place on the body in training: "
            "is it the same point?"
        )
    return found, change


def _scale_findings(reference: Reference, new: Reference, change: ShapeChange) -> list[str]:
    ratio = new.body_length / reference.body_length * change.scale
    least = max(math.log(LEAST_SCALE), _tolerance(reference, new, "body_length_deviation"))
    if not abs(math.log(ratio)) > least:  # NaN: not known
        return []
    return [
        f"bodies are {ratio:.2f} times as long ({new.body_length:.4g} against {reference.body_length:.4g}): "
        "another unit, camera or age of the animals? multiply the coordinates, or train on both"
    ]


def _rate_findings(reference: Reference, new: Reference) -> list[str]:
    if reference.fps and new.fps and abs(math.log(new.fps / reference.fps)) > RATE_DIFFERENCE:
        return [
            f"there are {new.fps:g} frames per second, {reference.fps:g} in training: resample them to that rate"
        ]
    ratio = new.speed / reference.speed
    if not abs(math.log(ratio)) > max(math.log(LEAST_SPEED), _tolerance(reference, new, "speed_deviation")):
        return []
    why = "other behaviour" if reference.fps and new.fps else "another frame rate, or other behaviour"
    return [f"keypoints move {ratio:.2f} times as far per frame, in body lengths: {why}?"]


def _tracking_findings(reference: Reference, new: Reference, order: np.ndarray) -> list[str]:
    """Less confidence and more gaps, by keypoint, `order` being those of the new ones that are each one's."""
    missing, confidence = new.missing[order], new.confidence[order]
    more = missing - reference.missing > np.maximum(LEAST_MISSING, _tolerance(reference, new, "missing_deviation"))
    drop = np.maximum(
        (1 - LEAST_CONFIDENCE) * reference.confidence, _tolerance(reference, new, "confidence_deviation")
    )
    less = reference.confidence - confidence > drop
    found = []
    for kind, which, here, there, form in (
        ("are missing more often", more, missing, reference.missing, ".0%"),
        ("have lower confidences", less, confidence, reference.confidence, ".2f"),
    ):
        said = [
            f"{reference.keypoint_names[k]} ({here[k]:{form}} against {there[k]:{form}})"
            for k in np.flatnonzero(which)
        ]
        if said:
            found.append(
                f"keypoints {kind}: {', '.join(said)}; does the tracker know these animals and this light?"
            )
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
