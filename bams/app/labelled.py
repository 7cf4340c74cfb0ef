"""Read labels out of a model's embeddings, during training and after it, and for comparison out of the input alone.

Axes: A individuals in a recording, T frames, C embedding channels, M frames that are read out.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bams import checkpoint, plots
from bams.app.cli import Settings
from bams.compute.devices import pick_device
from bams.data.keypoints import KeypointsDataset, group_tracks
from bams.data.labels import TAGS, annotations_of, as_annotations, as_label
from bams.embed.offline import embed_tracks
from bams.embed.pooled import pool_individuals
from bams.embedder.defaults import make_dataset
from bams.models.bams import BAMS
from bams.readout.baselines import InputAlone, moving_mean, random_weights
from bams.readout.linear_eval import evaluate_labels
from bams.readout.scores import Table
from bams.recordings.events import label_recordings, read_events
from bams.recordings.recording import Recording
from bams.storage import files
from bams.training.plan import Plan
from bams.training.run import steps_and_epochs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALL = "all embeddings"
Annotations = tuple[dict[str, Any], dict[str, Any]]  # annotations and eval_utils, see `bams.data.labels`


def read_labels(path: str) -> Annotations:
    """Labels in the `.npz` of the keypoints, see `bams.data.labels.annotations_of`; none if there are none."""
    arrays = files.read_arrays(path) if Path(path).is_file() and Path(path).suffix.lower() == ".npz" else {}
    return annotations_of(arrays) if any(name.startswith(("labels_", "seq_labels_")) for name in arrays) else ({}, {})


def labelled(
    recordings: list[Recording], root: str, events: str | None, load_labels: Callable[[str], Annotations]
) -> tuple[list[Recording], dict[str, Any]]:
    """Recordings that carry their labels, and what these are as far as the file says; ValueError if there is none."""
    annotations, eval_utils = ({}, {}) if events else load_labels(root)
    recordings = label_recordings(recordings, read_events(events)) if events else recordings
    recordings = with_labels(recordings, (annotations, eval_utils)) if annotations else recordings
    if not any(one.labels or one.about for one in recordings):
        wanted = "arrays labels_X in the .npz of the keypoints, --labels events.csv, or --about recordings.csv"
        raise ValueError(f"there are no labels with {root}; give {wanted} (see docs/tutorials/labels.md)")
    return recordings, eval_utils


def with_labels(recordings: Sequence[Recording], labels: Annotations) -> list[Recording]:
    """Recordings that carry their labels, so that cutting and resampling them takes the labels along."""
    annotations, eval_utils = labels
    each = [len(recording.individuals) for recording in recordings]
    lengths = np.repeat([recording.keypoints.shape[1] for recording in recordings], each)
    notes, found = as_annotations(annotations, eval_utils, lengths, individuals=each), []
    for i, (recording, start) in enumerate(zip(recordings, np.cumsum([0, *each[:-1]]), strict=True)):
        carried: tuple[dict, dict] = dict(recording.labels), dict(recording.about)
        for label in notes.labels:
            tracks = label.values[start : start + each[i]]
            carried[label.sequence_level][label.name] = label.values[i] if label.per_recording else np.array(tracks)
        group = recording.group or (notes.groups[i] if "video_name" in annotations else None)
        found.append(replace(recording, labels=carried[0], about=carried[1], group=group))
    return found


def labels_of(recordings: Sequence[Recording], eval_utils: Mapping[str, Any]) -> Annotations:
    """The labels that recordings carry, as a data set takes them; `eval_utils` tell of some what they are."""
    utils = {key: value for key, value in eval_utils.items() if key != "padded_frames"}
    utils |= {tag: list(utils.get(tag, ())) for tag in TAGS}
    utils |= {key: dict(utils.get(key, {})) for key in ("sequence_level_dict", "class_names")}
    annotations: dict[str, Any] = {"video_name": [recording.group or recording.name for recording in recordings]}
    for axes, kind in ((1, "labels"), (0, "about")):
        for name in dict.fromkeys(name for recording in recordings for name in getattr(recording, kind)):
            rows = _rows_of([getattr(recording, kind).get(name) for recording in recordings], recordings, axes)
            if not any(name in utils[tag] for tag in TAGS):
                is_number = axes == 0 and all(row.dtype.kind == "f" for row in rows)
                rows, tag, class_names = (rows, TAGS[1], None) if is_number else as_label(rows, name)
                utils[tag].append(name)
                utils["class_names"] |= {} if class_names is None else {name: class_names}
            utils["sequence_level_dict"][name] = axes == 0
            annotations[name] = rows
    return annotations, utils


def _rows_of(found: list[np.ndarray | None], recordings: Sequence[Recording], axes: int) -> list[np.ndarray]:
    """A label by recording, or by track where it is of tracks; not labelled where a recording has none."""
    first = next(row for row in found if row is not None)
    missing, by_track = {"U": "", "i": -1}.get(first.dtype.kind, np.nan), any(np.ndim(row) > axes for row in found)
    rows = []
    for row, recording in zip(found, recordings, strict=True):
        frames = recording.keypoints.shape[1:2] if axes else ()
        row = np.full(frames, missing, first.dtype) if row is None else row
        rows += list(np.broadcast_to(row, (len(recording.individuals), *frames))) if by_track else [row]
    return rows


class LabelEvaluation:
    """Linear read-outs of labels after each epoch, see `bams.train`; ValueError at once if none can be read out."""

    def __init__(self, settings: Settings, recordings: list[Recording], plan: Plan, eval_utils: Mapping[str, Any]):
        config, self.every = settings.script, settings.script.eval_every
        _, self.epochs = steps_and_epochs(plan.config, len(plan.dataset))
        annotations, eval_utils = labels_of(recordings, eval_utils)
        dataset = make_dataset(
            recordings,
            plan.dataset.config,
            statistics=plan.dataset.statistics,
            sequence_length=settings.run.sequence_length,
            cache_path=settings.run.cache_path,
            annotations=annotations,
            eval_utils=eval_utils | {"ignore_classes": config.ignore_classes},
        )
        options = {"most_frames": config.eval_frames, "folds": config.eval_folds, "fps": recordings[0].fps or 30}
        device = pick_device(settings.train.device)
        self.read_out = partial(evaluate_model, dataset=dataset, device=device, **options)
        self._leave_out_labels(dataset)

    def _leave_out_labels(self, dataset: KeypointsDataset) -> None:
        """Leave out labels that cannot be read out, and say why; ValueError if none is left."""
        notes, kept = dataset.annotations, []
        for label in notes.labels:
            dataset.annotations = replace(notes, labels=[label])
            try:
                self.read_out(None)
                kept.append(label)
            except ValueError as error:
                if len(notes.labels) == 1:
                    raise
                print(f"left out a label: {error}", file=sys.stderr)
        if not kept:
            raise ValueError(f"none of the labels {', '.join(label.name for label in notes.labels)} can be read out")
        dataset.annotations = replace(notes, labels=kept)

    def __call__(self, model: BAMS, epoch: int) -> tuple[dict[str, float], dict[str, "Figure"]]:
        """Scores and confusion matrices to log, if a read-out is due after this epoch."""
        due = epoch == self.epochs or (self.every and epoch % self.every == 0)
        return to_log(self.read_out(model, baselines=False)) if due else ({}, {})

    def write_scores(self, path: Path) -> None:
        """Print the scores of the checkpoint X.pt and of the baselines, and write them to X_scores.csv."""
        table = self.read_out(checkpoint.load(path).model)
        target = path.with_name(f"{path.stem}_scores.csv")
        files.write_text(target, table.to_csv())
        print(f"\n{table}\n\nscores of held-out recordings ± deviation over folds: {target}")


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
    """Linear read-outs of the labels of a data set with annotations; whole recordings are held out.

    Labels of a recording with several individuals are read out of the mean over those present, joined with their
    range; labels of a track out of the track. Frames in which no individual is tracked are left out.

    Args:
        model: None only checks the labels; the table then has the row 'chance' alone.
        baselines: add the raw input (scaled and clipped as the model sees it), the same joined with its mean over the
            last second, and a network with random weights.
        most_frames: if there are more frames, every n-th frame of a recording is read out.
        folds: see `bams.evaluate_labels`.
    """
    notes = dataset.annotations
    if notes is None:
        raise ValueError("the data set has no labels: give KeypointsDataset annotations and eval_utils")
    group, found = np.unique(notes.groups, return_inverse=True)[1], {}
    for per_recording in (True, False):
        labels = [label for label in notes.labels if label.per_recording == per_recording]
        if not labels:
            continue
        each = notes.individuals if per_recording else [1] * dataset.n_tracks
        present = [_stacked(rows).any(axis=0) for rows in group_tracks(dataset.present, each)]
        lengths = [len(one) for one in present]
        every = -(-sum(lengths) // most_frames)
        kept = [np.flatnonzero(one)[::every] for one in present]
        options = {"baselines": baselines, "second": max(round(fps), 1), "device": device}
        starts = np.cumsum([0, *lengths[:-1]])
        table = evaluate_labels(
            readout_rows(model, dataset, kept, **options) if model else {},
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
    """By row of the table of `evaluate_model`, the features that labels are read out of, (M, C) float32.

    `frames` are those of each track, or of each recording, whose individuals are then pooled.
    """
    tracks = [dataset.track_input(i) for i in range(dataset.n_tracks)]
    rows = _pooled(embed_tracks(model, tracks, device), dataset, frames)
    rows[ALL] = np.concatenate(list(rows.values()), axis=1)
    if baselines:
        inputs = (one["input"] for one in embed_tracks(InputAlone(model), tracks, device))
        raw = _pooled(({"raw": one, "mean": moving_mean(one, second)} for one in inputs), dataset, frames)
        rows |= {"raw input": raw["raw"], "raw input and 1 s mean": np.concatenate(list(raw.values()), axis=1)}
        fresh = _pooled(embed_tracks(random_weights(model), tracks, device), dataset, frames)
        rows["random weights"] = np.concatenate(list(fresh.values()), axis=1)
    return rows


def to_log(table: Table) -> tuple[dict[str, float], dict[str, "Figure"]]:
    """What `bams.train` logs of a table: all scores except those of chance, and a confusion matrix per label."""
    scalars, figures = {}, {}
    for scores in table.labels:
        label = scores.label
        for row, metric, score in ((row, *pair) for row, found in scores.rows.items() for pair in found.items()):
            if row != "chance" and np.isfinite(score.value):
                scalars[re.sub(r"[^\w/.-]+", "_", f"{label}/{metric}/{row}")] = score.value
        if ALL in scores.confusions:
            shares, title = scores.confusions[ALL], f"{label}, held-out {scores.level}s\nread out of {ALL}"
            figures[f"{label}/confusion"] = plots.plot_confusion(shares, scores.class_names, title=title)
    return scalars, figures


def _pooled(
    embedded: Iterator[dict[str, np.ndarray]], dataset: KeypointsDataset, frames: list[np.ndarray]
) -> dict[str, np.ndarray]:
    """By embedding (M, C): the given frames of all recordings, with the individuals of a recording pooled."""
    pooled = len(frames) < dataset.n_tracks
    each = dataset.individuals if pooled else [1] * dataset.n_tracks
    parts: dict[str, list[np.ndarray]] = {}
    for kept, rows in zip(frames, group_tracks(dataset.present, each), strict=True):
        tracks = [next(embedded) for _ in rows]
        present = _stacked(rows)[:, kept]
        for name in tracks[0]:
            channels = _stacked([track[name] for track in tracks])[:, kept]
            parts.setdefault(name, []).append(pool_individuals(channels, present) if pooled else channels[0])
    return {name: np.concatenate(some) for name, some in parts.items()}


def _stacked(tracks: list[np.ndarray]) -> np.ndarray:
    """Tracks (T_i, ...) as one array (A, T, ...), with 0 after the end of a track."""
    longest = max(map(len, tracks))
    return np.stack([np.pad(track, [(0, longest - len(track)), *[(0, 0)] * (track.ndim - 1)]) for track in tracks])
