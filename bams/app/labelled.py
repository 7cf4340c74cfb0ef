"""Read the labels of a data set out of a model's embeddings, and for comparison out of the input alone.

Axes: A individuals in a recording, T frames, C embedding channels, M frames that are read out.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from bams import plots
from bams.data.keypoints import KeypointsDataset
from bams.embed.offline import embed_tracks
from bams.embed.pooled import pool_individuals
from bams.models.bams import BAMS
from bams.readout.baselines import moving_mean, random_weights
from bams.readout.linear_eval import evaluate_labels
from bams.readout.scores import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALL = "all embeddings"


def evaluate_model(
    model: BAMS | None,
    dataset: KeypointsDataset,
    *,
    baselines: bool = True,
    fps: float = 30.0,
    most_frames: int = 200_000,
    folds: int = 5,
    device: str | torch.device = "cpu",
) -> Table:
    """Linear read-outs of the labels of a data set, with whole recordings held out.

    Labels of a recording with several individuals are read out of the mean over those present, joined with their
    range; labels of a track out of the track. Frames in which no individual is tracked are left out.

    Args:
        model: None only checks the labels; the table then has the row 'chance' alone.
        dataset: with annotations.
        baselines: add the raw input (scaled and clipped as the model sees it), the same joined with its mean over the
            last second, and a network with random weights.
        fps: frames per second.
        most_frames: if there are more frames, every n-th frame of a recording is read out.
        folds: see `bams.evaluate_labels`.
        device: where to embed.
    """
    notes = dataset.annotations
    if notes is None:
        raise ValueError("the data set has no labels: give KeypointsDataset annotations and eval_utils")
    group, found = np.unique(notes.groups, return_inverse=True)[1], {}
    for per_recording in (True, False):
        labels = [label for label in notes.labels if label.per_recording == per_recording]
        if not labels:
            continue
        each = notes.individuals if per_recording else 1
        present = [_stacked(dataset.present[i : i + each]).any(axis=0) for i in range(0, dataset.n_tracks, each)]
        lengths = [len(one) for one in present]
        every = -(-sum(lengths) // most_frames)
        kept = [np.flatnonzero(one)[::every] for one in present]
        options = {"baselines": baselines, "second": max(round(fps), 1), "device": device}
        starts = np.cumsum([0, *lengths[:-1]])
        table = evaluate_labels(
            {} if model is None else readout_rows(model, dataset, kept, **options),
            {e.name: np.array(e.values) if e.sequence_level else np.concatenate(e.values) for e in labels},
            np.repeat(group if per_recording else np.repeat(group, notes.individuals), lengths),
            regression=[label.name for label in labels if label.class_names is None],
            sequence_level=[label.name for label in labels if label.sequence_level],
            class_names={label.name: label.class_names for label in labels if label.class_names},
            sequences=np.repeat(np.arange(len(lengths)), lengths),
            frames=np.concatenate([start + frames for start, frames in zip(starts, kept, strict=True)]),
            folds=folds,
        )
        found |= {scores.label: scores for scores in table.labels}
    return Table([found[label.name] for label in notes.labels])


def readout_rows(
    model: BAMS,
    dataset: KeypointsDataset,
    frames: list[np.ndarray],
    *,
    baselines: bool = True,
    second: int = 30,
    device: str | torch.device = "cpu",
) -> dict[str, np.ndarray]:
    """By row of the table, the features that labels are read out of, (M, C) float32; see `evaluate_model`.

    Args:
        frames: the frames to take of each track, or of each recording, whose individuals are then pooled.
        second: frames of the moving mean of the raw input.
    """
    tracks = [dataset.track_input(i) for i in range(dataset.n_tracks)]
    rows = _pooled(embed_tracks(model, tracks, device), dataset, frames)
    rows[ALL] = np.concatenate(list(rows.values()), axis=1)
    if baselines:
        raw = _pooled(_raw_inputs(model, tracks, second), dataset, frames)
        rows |= {"raw input": raw["raw"], "raw input and 1 s mean": np.concatenate(list(raw.values()), axis=1)}
        fresh = _pooled(embed_tracks(random_weights(model), tracks, device), dataset, frames)
        rows["random weights"] = np.concatenate(list(fresh.values()), axis=1)
    return rows


def to_log(table: Table) -> tuple[dict[str, float], dict[str, "Figure"]]:
    """What `bams.train` logs of a table: all scores except those of chance, and a confusion matrix per label."""
    scalars, figures = {}, {}
    for scores in table.labels:
        for row, metric, score in ((row, *pair) for row, found in scores.rows.items() for pair in found.items()):
            if row != "chance" and np.isfinite(score.value):
                scalars[re.sub(r"[^\w/.-]+", "_", f"{scores.label}/{metric}/{row}")] = score.value
        if ALL in scores.confusions:
            title = f"{scores.label}, held-out {scores.level}s\nread out of {ALL}"
            confusion = scores.confusions[ALL]
            figures[f"{scores.label}/confusion"] = plots.plot_confusion(confusion, scores.class_names, title=title)
    return scalars, figures


def _raw_inputs(model: BAMS, tracks: list[np.ndarray], second: int) -> Iterator[dict[str, np.ndarray]]:
    """For each track the input as the model scales it, and its mean over the last `second` frames."""
    for track in map(torch.from_numpy, tracks):
        with torch.no_grad():
            scaled = model.scale(track.to(model.scale.centre.device)).cpu().numpy()
        yield {"raw": scaled, "mean": moving_mean(scaled, second)}


def _pooled(
    embedded: Iterator[dict[str, np.ndarray]], dataset: KeypointsDataset, frames: list[np.ndarray]
) -> dict[str, np.ndarray]:
    """By embedding (M, C): the given frames of all recordings, with the individuals of a recording pooled."""
    each, parts = dataset.n_tracks // len(frames), {}
    for i, kept in enumerate(frames):
        tracks = [next(embedded) for _ in range(each)]
        present = _stacked(dataset.present[i * each : (i + 1) * each])[:, kept]
        for name in tracks[0]:
            channels = _stacked([track[name] for track in tracks])[:, kept]
            parts.setdefault(name, []).append(channels[0] if each == 1 else pool_individuals(channels, present))
    return {name: np.concatenate(some) for name, some in parts.items()}


def _stacked(tracks: list[np.ndarray]) -> np.ndarray:
    """Tracks (T_i, ...) as one array (A, T, ...), with 0 after the end of a track."""
    longest = max(map(len, tracks))
    return np.stack([np.pad(track, [(0, longest - len(track)), *[(0, 0)] * (track.ndim - 1)]) for track in tracks])
