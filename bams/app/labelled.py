"""What labels can be read out of a model's embeddings of a data set, beside what the input alone gives.

Axes: A individuals in a recording, T frames, F input features, C embedding channels, M frames read out.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
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

    Labels of recordings with several individuals are read out of the mean over those present, joined with their
    range; labels of tracks out of the track. Frames count from the first to the last in which somebody was
    tracked.

    Args:
        model: None checks the labels, with the row 'chance' alone.
        dataset: with annotations.
        baselines: add the raw input (scaled and clipped as the model sees it), that joined with its mean over the
            last second, and a network with random weights.
        fps: frames of a second.
        most_frames: with more, each n-th frame of a recording is read out.
        folds: see `bams.linear_eval.evaluate_labels`.
        device: where to embed.
    """
    notes = dataset.annotations
    if notes is None:
        raise ValueError("the data set has no labels: give KeypointsDataset annotations and eval_utils")
    found = {}
    for per_recording in (True, False):
        labels = [label for label in notes.labels if label.per_recording == per_recording]
        if not labels:
            continue
        each = notes.individuals if per_recording else 1
        present = [_anybody(dataset.present[first : first + each]) for first in range(0, dataset.n_tracks, each)]
        lengths = [len(one) for one in present]
        every = -(-sum(lengths) // most_frames)
        kept = [np.flatnonzero(one)[::every] for one in present]
        rows: dict[str, np.ndarray] = {}
        if model is not None:
            rows = readout_rows(model, dataset, kept, baselines=baselines, second=max(round(fps), 1), device=device)
        starts = np.cumsum([0, *lengths[:-1]])
        group = np.unique(notes.groups, return_inverse=True)[1]
        table = evaluate_labels(
            rows,
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
    """The features that labels are read out of.

    Args:
        model: see `evaluate_model`, as `dataset` and `baselines`.
        frames: which frames, of N tracks, or of S recordings, whose individuals are pooled.
        second: frames of the moving mean of the raw input.

    Returns:
        by row of the table, (M, C) float32.
    """
    tracks = [dataset.track_input(i) for i in range(dataset.n_tracks)]
    joined, spans = _table(embed_tracks(model, tracks, device), dataset, frames)
    rows = {name: joined[:, span] for name, span in spans.items()} | {ALL: joined}
    if baselines:
        raw, spans = _table(_raw_inputs(model, tracks, second), dataset, frames)
        rows |= {"raw input": raw[:, spans["raw"]], "raw input and 1 s mean": raw}
        rows["random weights"], _ = _table(embed_tracks(random_weights(model), tracks, device), dataset, frames)
    return rows


def to_log(table: Table) -> tuple[dict[str, float], dict[str, "Figure"]]:
    """What `bams.train` logs of a table: each score but those of chance, and each label's confusion matrix."""
    scalars, figures = {}, {}
    for scores in table.labels:
        for row in (row for row in scores.rows if row != "chance"):
            for metric, score in scores.rows[row].items():
                if np.isfinite(score.value):
                    scalars[re.sub(r"[^\w/.-]+", "_", f"{scores.label}/{metric}/{row}")] = score.value
        if ALL in scores.confusions:
            title = f"{scores.label}, held-out {scores.level}s\nread out of {ALL}"
            figure = plots.plot_confusion(scores.confusions[ALL], scores.class_names, title=title)
            figures[f"{scores.label}/confusion"] = figure
    return scalars, figures


def _raw_inputs(model: BAMS, tracks: list[np.ndarray], second: int) -> Iterator[dict[str, np.ndarray]]:
    """Of each track the input as the model scales it, and its mean over the last `second` frames."""
    device = model.scale.centre.device
    for track in tracks:
        with torch.no_grad():
            scaled = model.scale(torch.from_numpy(track).to(device)).cpu().numpy()
        yield {"raw": scaled, "mean": moving_mean(scaled, second)}


def _table(
    made: Iterator[dict[str, np.ndarray]], dataset: KeypointsDataset, frames: list[np.ndarray]
) -> tuple[np.ndarray, dict[str, slice]]:
    """Channels of each track, the individuals of a recording pooled, joined at `frames`; and whose are where."""
    individuals = dataset.n_tracks // len(frames)
    ends = np.cumsum([len(kept) for kept in frames])
    table, spans = np.empty((0, 0), np.float32), {}
    for i, (kept, end) in enumerate(zip(frames, ends, strict=True)):
        tracks = [next(made) for _ in range(individuals)]
        present = dataset.present[i * individuals : (i + 1) * individuals]
        parts = {name: _pooled([track[name] for track in tracks], present, kept) for name in tracks[0]}
        if not spans:
            edges = np.cumsum([0, *(part.shape[1] for part in parts.values())])
            spans = {name: slice(*edge) for name, edge in zip(parts, pairwise(edges), strict=True)}
            table = np.empty((ends[-1], edges[-1]), np.float32)
        table[end - len(kept) : end] = np.concatenate(list(parts.values()), axis=1)
    next(made, None)  # so that what made them ends too
    return table, spans


def _pooled(channels: list[np.ndarray], present: list[np.ndarray], kept: np.ndarray) -> np.ndarray:
    if len(channels) == 1:
        return channels[0][kept]
    longest = max(map(len, present))
    embs = np.stack([np.pad(c, ((0, longest - len(c)), (0, 0)))[kept] for c in channels])
    return pool_individuals(embs, np.stack([np.pad(p, (0, longest - len(p)))[kept] for p in present]))


def _anybody(present: list[np.ndarray]) -> np.ndarray:
    longest = max(map(len, present))
    return np.any([np.pad(one, (0, longest - len(one))) for one in present], axis=0)
