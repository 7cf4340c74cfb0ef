"""Score a submission as the public evaluator of MABe 2022 does: with linear read-outs of its tasks.

The read-outs are fitted from sums over frames (`bams.readout.ridge`) and their predictions are counted clip by clip,
so that the embeddings are never copied whole. Axes: T frames of a clip, C embedding columns.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import train_test_split

from bams.mabe.files import FrameMap, Task
from bams.mabe.protocol import Labels, Protocol
from bams.readout.ridge import augment, balanced_ridge, ridge


class Score(NamedTuple):
    """One row of the score table."""

    task: str
    private: float  # on all test clips
    public: float  # on the public test clips
    metric: str  # "F1" of the positive class, or "MSE" (nan where no frame is labelled)
    no_ensemble: float  # mean of the private scores of the single seeds
    pooled: float  # score of clip means; -1 if the task is not sequence-level
    sequence_level: bool


def score(embeddings: np.ndarray, labels: Labels, protocol: Protocol) -> list[Score]:
    """Score embeddings (frames, C) float, finite: one row per task, in the order of the task file.

    The tasks X_singletask_fly_0, 1, ... become one row X. ValueError if a task has no labelled frame to train on.
    """
    tasks = {name: labels.tasks[name] for name in protocol.tasks}
    centre = embeddings[:: max(1, len(embeddings) // 100_000)].mean(axis=0, dtype=np.float64)
    readouts = _fit(embeddings, labels.rows, protocol, tasks, centre)
    discrete = np.array([task.discrete for task in tasks.values()])
    found = []
    for name in (*protocol.public, *protocol.private):
        span = slice(*labels.rows[name])
        truth = np.stack([task.values[span] for task in tasks.values()]).astype(np.float64)
        found.append(_count(augment(embeddings[span], centre), readouts, truth, discrete))
    counts, means = zip(*found, strict=True)
    private, public = np.sum(counts, axis=0), np.sum(counts[: len(protocol.public)], axis=0)
    rows = {}
    for k, (name, task) in enumerate(tasks.items()):
        scores = [_metric(count, task.discrete) for count in private[:, k]]
        whole = name in protocol.sequence_level
        pooled = _pooled(np.stack(means)[:, :, k], task.discrete) if whole else -1.0
        shared, metric = _metric(public[-1, k], task.discrete), "F1" if task.discrete else "MSE"
        rows[name] = Score(name, scores[-1], shared, metric, float(np.mean(scores[:-1])), pooled, whole)
    return _average_flies([rows[name] for name in protocol.tasks])


def _fit(
    embeddings: np.ndarray, rows: FrameMap, protocol: Protocol, tasks: dict[str, Task], centre: np.ndarray
) -> np.ndarray:
    """Coefficients of all read-outs, (seeds, tasks, C+1)."""
    chosen = [set(train_test_split(protocol.train, test_size=0.1, random_state=seed)[0]) for seed in protocol.seeds]
    size = embeddings.shape[1] + 1
    products = np.zeros((len(chosen), len(tasks), 2, size, size))  # of negative and of positive frames
    moments = np.zeros((len(chosen), len(tasks), size))
    for name in sorted(protocol.train, key=rows.__getitem__):
        span = slice(*rows[name])
        frames = augment(embeddings[span], centre)
        whole = frames.T @ frames
        seeds = [s for s, train in enumerate(chosen) if name in train]
        for k, (values, discrete) in enumerate(tasks.values()):
            labels = np.asarray(values[span], np.float64)
            unlabelled = np.isnan(labels)
            # in regression every labelled frame counts as positive
            positive = labels == 1 if discrete else ~unlabelled
            parts = [~positive & ~unlabelled, positive, unlabelled]
            largest = np.argmax([part.sum() for part in parts])
            found = np.zeros((3, size, size))
            for i in {0, 1, 2} - {largest}:
                some = frames[parts[i]]
                found[i] = some.T @ some
            found[largest] = whole - found.sum(axis=0)  # faster than from its frames
            products[seeds, k] += found[:2]
            moments[seeds, k] += np.where(unlabelled, 0, labels) @ frames
    readouts = np.empty_like(moments)
    for k, (name, task) in enumerate(tasks.items()):
        for s, seed in enumerate(protocol.seeds):
            if not products[s, k, :, -1, -1].any():
                raise ValueError(f"task {name} has no labelled frame in the training clips of seed {seed}")
            fitted = balanced_ridge(products[s, k])[:, 1] if task.discrete else ridge(products[s, k, 1], moments[s, k])
            readouts[s, k] = fitted
    return readouts


def _count(
    frames: np.ndarray, readouts: np.ndarray, truth: np.ndarray, discrete: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Counts (seeds + 1, tasks, 3) of one clip for each seed and, last, for all together; and clip means (2, tasks).

    The counts are frames that are truly and predicted positive, truly positive, and predicted positive; in regression
    the summed squared error, the labelled frames, and 0. The means are those of truth and joint prediction over the
    labelled frames; NaN = none is labelled.
    """
    labelled = ~np.isnan(truth)
    predicted = readouts @ frames.T
    predicted = np.where(discrete[:, None], predicted > 0, predicted)
    # the evaluator's code takes a frame as positive if any seed does, though its README says majority
    joint = np.where(discrete[:, None], predicted.max(axis=0), predicted.mean(axis=0))
    predicted = np.where(labelled, np.concatenate([predicted, joint[None]]), 0)
    truth = np.where(labelled, truth, 0)
    frame_count = labelled.sum(axis=1)
    counts = np.zeros((*predicted.shape[:2], 3))
    counts[..., 0] = np.where(discrete, (predicted * truth).sum(axis=2), np.square(predicted - truth).sum(axis=2))
    counts[..., 1] = np.where(discrete, truth.sum(axis=1), frame_count)
    counts[..., 2] = np.where(discrete, predicted.sum(axis=2), 0)
    sums = np.stack([truth.sum(axis=1), predicted[-1].sum(axis=1)])
    return counts, np.divide(sums, frame_count, out=np.full_like(sums, np.nan), where=frame_count > 0)


def _metric(counts: Sequence[float], discrete: bool) -> float:
    """F1 of the positive class, 0 where nothing is positive; or mean squared error, nan where nothing is labelled."""
    first, second, third = (float(count) for count in counts)
    if discrete:
        return 2 * first / (second + third) if second + third else 0.0
    return first / second if second else float("nan")


def _pooled(means: np.ndarray, discrete: bool) -> float:
    """The score of clip means (clips, 2) of truth and prediction."""
    truth, predicted = means[np.isfinite(means).all(axis=1)].T
    if not discrete:
        return _metric((np.square(predicted - truth).sum(), len(truth), 0), False)
    truth, predicted = truth > 0.5, predicted > 0.5
    return _metric(((truth & predicted).sum(), truth.sum(), predicted.sum()), True)


def _average_flies(rows: list[Score]) -> list[Score]:
    """Average the rows of the single flies of a task; the pooled score over the flies that have one."""
    groups: dict[tuple[str, int], list[Score]] = {}
    for i, row in enumerate(rows):
        name, single, _ = row.task.partition("_singletask_fly_")
        groups.setdefault((name, -1 if single else i), []).append(row)
    averaged = []
    for (name, _), flies in groups.items():
        means = np.mean([(row.private, row.public, row.no_ensemble) for row in flies], axis=0).tolist()
        pooled = [row.pooled for row in flies if row.sequence_level]
        mean = float(np.mean(pooled)) if pooled else -1.0
        averaged.append(Score(name, *means[:2], flies[0].metric, means[2], mean, bool(pooled)))
    return averaged
