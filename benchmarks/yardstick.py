"""One protocol that scores how well labels can be read out of per-frame features.

Recordings are cut into windows of 600 frames (a shorter rest is dropped), and every 5th frame is scored. Whole
recordings are held out in 5 folds. Features are standardised on the training folds. A class-balanced ridge classifier
reads out each class against the others (mean F1) and all classes at once (macro F1).

Axes: S recordings, A individuals, T frames, K keypoints, d coordinates, C channels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bams import simulate
from bams.embed.pooled import pool_individuals, standardise
from bams.features.gaps import difference, fill_gaps, observed, tracked_presence
from bams.readout import baselines, ridge
from bams.statistics import fit_statistics
from bams.storage import files

WINDOW, EVERY, FOLDS = 600, 5, 5


class Task(NamedTuple):
    """A label: for each recording (T,) int, or (A, T) of each individual; -1 = not scored."""

    name: str
    classes: tuple[str, ...]
    labels: list[np.ndarray]


class Score(NamedTuple):
    """F1 of each class against the others, and of all classes at once, on held-out recordings."""

    mean_f1: float
    macro_f1: float


@dataclass(frozen=True)
class Yardstick:
    """Recordings (A, T, K, d), NaN = not tracked, and their labels."""

    name: str
    recordings: list[np.ndarray]
    tasks: list[Task]

    @cached_property
    def windows(self) -> list[int]:
        """Number of windows of each recording."""
        return [recording.shape[1] // WINDOW for recording in self.recordings]

    def cut(self, values: np.ndarray, recording: int) -> np.ndarray:
        """(A, T, ...) -> (A, scored frames, ...)."""
        return values[:, : self.windows[recording] * WINDOW : EVERY]

    def table(self, task: Task, channels: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features (rows, C), classes (rows,) and recordings (rows,) of a task.

        `channels` are (A, scored frames, C) for each recording, or (1, ...) if they describe the whole recording.
        """
        features, classes, group = [], [], []
        for i, (recording, labels, found) in enumerate(zip(self.recordings, task.labels, channels, strict=True)):
            if labels.ndim == 1:
                present = self.cut(tracked_presence(recording), i)
                found = _pooled(found, present)[None] if len(found) > 1 else found
                labels = labels[None]
            labels = self.cut(labels, i)
            if len(found) != len(labels):
                raise ValueError(f"{task.name} is a label of individuals, but these features are of whole recordings")
            scored = labels >= 0
            features.append(found[scored])
            classes.append(labels[scored])
            group.append(np.full(scored.sum(), i))
        return np.concatenate(features), np.concatenate(classes).astype(int), np.concatenate(group)


def score(features: np.ndarray, classes: np.ndarray, group: np.ndarray, recordings: Sequence[int], count: int) -> Score:
    """Score features on a part of the recordings.

    Args:
        features: (rows, C) float32.
        classes: (rows,) int from 0 to count - 1.
        group: (rows,) int, the recording of each row.
        recordings: recordings to score; after a permutation by `default_rng(0)`, fold i mod 5 holds out the i-th.
        count: number of classes.
    """
    fold_of = np.empty(len(recordings), int)
    fold_of[np.random.default_rng(0).permutation(len(recordings))] = np.arange(len(recordings)) % FOLDS
    rows = np.flatnonzero(np.isin(group, recordings))
    fold = fold_of[np.searchsorted(recordings, group[rows])]
    true = classes[rows]
    sums = ridge.sum_products(features, rows, fold * count + true, FOLDS * count)
    of_fold, of_class = np.divmod(np.arange(FOLDS * count), count)
    alone, together = np.zeros((len(rows), count), bool), np.zeros(len(rows), int)
    for held_out in range(FOLDS):
        test = np.flatnonzero(fold == held_out)
        training = of_fold != held_out
        member = training & (of_class == np.arange(count)[:, None])
        fitted = ridge.classifier(sums, member, 1.0)
        together[test] = sums.predict(fitted, features, rows[test]).argmax(axis=1)
        for c in range(count):
            versus = np.stack([training & (of_class != c), member[c]])
            outputs = sums.predict(ridge.classifier(sums, versus, 1.0), features, rows[test])
            alone[test, c] = outputs[:, 1] > outputs[:, 0]
    return Score(
        float(np.mean([_f1(true == c, alone[:, c]) for c in range(count)])),
        float(np.mean([_f1(true == c, together == c) for c in range(count)])),
    )


def load(source: str) -> Yardstick:
    """`mice` (simulated), or a file `rat_social.npz` or `gesture_phase.npz`."""
    if source == "mice":
        return _mice()
    arrays = files.read_arrays(source)
    keypoints, lengths = arrays["keypoints"], arrays["lengths"]
    if "labels_behavior" in arrays:
        labels = arrays["labels_behavior"].astype(int) - 1  # class 0 lies outside the scored part
        classes = tuple(arrays["labels_behavior_names"][1:].astype(str))
        name, labels = "behavior", np.maximum(labels, -1)
    else:
        keypoints = keypoints[:, None]
        name, labels = "phase", arrays["labels_phase"].astype(int)
        classes = tuple(arrays["labels_phase_names"].astype(str))
    recordings = [array[:, :length] for array, length in zip(keypoints, lengths, strict=True)]
    task = Task(name, classes, [row[:length] for row, length in zip(labels, lengths, strict=True)])
    return Yardstick(Path(source).stem, recordings, [task])


def hand_made(yardstick: Yardstick, progress: Callable = iter) -> dict[str, list[np.ndarray]]:
    """Features without a network, by row of the table; (1, scored frames, C) for each recording."""
    pixels, plain = [], []
    for recording in progress(yardstick.recordings):
        pixels.append(_pixels(recording))
        plain.append(_by_hand(recording))
    statistics = fit_statistics(
        np.concatenate(plain),
        np.zeros((sum(map(len, plain)), 1), np.float32),
        np.ones((sum(map(len, plain)), 1), bool),
        2,
    )
    rows: dict[str, list[np.ndarray]] = {}
    for i, (pixel, features) in enumerate(zip(pixels, plain, strict=True)):
        known = np.where(np.isnan(features), statistics.centre, features)
        scaled = np.clip((known - statistics.centre) / statistics.scale, -3, 3).astype(np.float32)
        individuals, _, count, dims = yardstick.recordings[i].shape
        size = individuals * count * dims
        speeds = np.concatenate([scaled, np.abs(scaled[:, size : 2 * size])], axis=1)
        made = {
            "pixels and differences": pixel,
            "by hand, one frame": scaled,
            "by hand, with means over 1 s": _with_means(speeds, (30,)),
            "by hand, with means over 1 and 5 s": _with_means(speeds, (30, 150)),
        }
        for name, values in made.items():
            rows.setdefault(name, []).append(yardstick.cut(values[None], i))
    return rows


def principal_components(channels: list[np.ndarray], count: int) -> list[np.ndarray]:
    """The first `count` principal components of standardised features (1, frames, C) of each recording."""
    table = standardise(np.concatenate([part[0] for part in channels]))
    ends = np.cumsum([part.shape[1] for part in channels])[:-1]
    return [part[None] for part in np.split(baselines.principal_components(table, count), ends)]


def _pixels(recording: np.ndarray) -> np.ndarray:
    """Coordinates of all individuals, with 0 for missing ones, and their differences; (T, C)."""
    flat = np.nan_to_num(np.moveaxis(recording, 0, 1).reshape(recording.shape[1], -1))
    return np.concatenate([flat, np.diff(flat, axis=0, prepend=flat[:1])], axis=1)


def _by_hand(recording: np.ndarray) -> np.ndarray:
    """Last observed coordinates, displacements, what is observed, postures and distances of all individuals; (T, C)."""
    individuals, frames, count, _ = recording.shape
    seen = observed(recording)
    held = fill_gaps(recording, seen)
    moved, _ = difference(recording, seen)
    middle = min(1, count - 1)
    parts = [held, moved, seen, held - held[:, :, middle : middle + 1]]
    found = [np.moveaxis(part, 0, 1).reshape(frames, -1) for part in parts]
    for i in range(individuals):
        for j in range(i + 1, individuals):
            apart = np.linalg.norm(held[i][:, :, None] - held[j][:, None], axis=-1)
            found += [apart.reshape(frames, -1), held[j, :, middle] - held[i, :, middle]]
    return np.concatenate(found, axis=1, dtype=np.float32)


def _with_means(values: np.ndarray, spans: tuple[int, ...]) -> np.ndarray:
    """Values (T, C) joined with their means over the last frames, computed within each window."""
    whole = len(values) // WINDOW * WINDOW
    windows = values[:whole].reshape(-1, WINDOW, values.shape[1])
    parts = [windows, *(baselines.moving_mean(windows, span) for span in spans)]
    return np.concatenate(parts, axis=-1).reshape(whole, -1)


def _pooled(channels: np.ndarray, present: np.ndarray) -> np.ndarray:
    return pool_individuals(channels, present | ~present.any(axis=0))


def _f1(true: np.ndarray, predicted: np.ndarray) -> float:
    return 2 * np.count_nonzero(true & predicted) / max(true.sum() + predicted.sum(), 1)


def _mice() -> Yardstick:
    """Simulated groups of three, with causes by frame and mouse, and by clip."""
    mice = simulate.simulate_mice(60)
    frames = mice.actions.shape[-1]
    whole = [np.full(frames, lights) for lights in mice.lights], [np.full(frames, s) for s in mice.strain]
    tasks = [
        Task("action", simulate.ACTIONS, list(mice.actions)),
        Task("mode", simulate.MODES, list(mice.modes)),
        Task("lights", ("on", "off"), whole[0]),
        Task("strain", ("A", "B"), whole[1]),
        Task("close", ("no", "yes"), list(mice.close.astype(int))),
        Task("chase", ("no", "yes"), list(mice.chase.astype(int))),
    ]
    return Yardstick("mice", list(mice.keypoints), tasks)
