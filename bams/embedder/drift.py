"""What training recordings are like, and in what new recordings differ from them."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import torch

from bams.checkpoint import Checkpoint
from bams.data.split import ever_tracked
from bams.embed.tracks import embed
from bams.quality.drift import DriftReport, compare, rate_findings
from bams.quality.training_summary import TrainingSummary, describe, describe_embeddings
from bams.recordings.recording import Recording

SUMMARY_RECORDINGS, SUMMARY_FRAMES = 16, 10_000  # recordings, and frames of each, whose embeddings describe all


def with_reference(trained: Checkpoint, recordings: Sequence[Recording], device: str | torch.device) -> Checkpoint:
    """The model with a description of its training recordings, by which drift is found; series have none."""
    if recordings[0].keypoints.ndim == 3:
        return trained
    embeddings = describe_embeddings(_some_embeddings(trained, recordings, device))
    return replace(trained, reference=asdict(replace(describe(recordings), embeddings=embeddings)))


def find_drift(trained: Checkpoint, recordings: Sequence[Recording], device: str | torch.device = "cpu") -> DriftReport:
    """In what recordings, cleaned as in training, differ from the training recordings."""
    if not trained.reference:
        raise ValueError("the checkpoint does not say what its training recordings look like, so drift is not known")
    return compare(TrainingSummary(**trained.reference), recordings, _some_embeddings(trained, recordings, device))


def say_drift(trained: Checkpoint, recordings: Sequence[Recording], device: str | torch.device = "cpu") -> None:
    """Say on stderr in what recordings differ from those in training, if they do, and that is known."""
    if trained.reference:
        found = find_drift(trained, recordings, device)
    else:  # of series the rate alone may be known
        rates = trained.settings.get("trained_fps"), recordings[0].fps
        found = DriftReport(rate_findings(*rates), len(recordings))
    if found.findings:
        print(found, file=sys.stderr)


def _some_embeddings(
    trained: Checkpoint, recordings: Sequence[Recording], device: str | torch.device
) -> dict[str, np.ndarray]:
    """Embeddings of the first frames of some recordings, (frames, C) by encoder, without animals never tracked."""
    every = -(-len(recordings) // SUMMARY_RECORDINGS)
    some = [replace(one, keypoints=one.keypoints[:, :SUMMARY_FRAMES]) for one in recordings[::every]]
    tracked = [one for one in map(tracked_alone, some) if one.individuals]
    found = [one.embs for embedded in embed(trained, tracked, device) for one in embedded]
    return {name: np.concatenate([embs[name] for embs in found]) for name in trained.model.sizes if found}


def tracked_alone(recording: Recording) -> Recording:
    """The recording without the individuals that are never tracked."""
    return recording.of_individuals(ever_tracked(recording.keypoints))
