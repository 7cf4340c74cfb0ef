"""The MABe 2022 protocol: linear read-outs of a submission, scored as the public evaluator scores them.

A read-out is fitted from sums over frames (`bams.ridge`), and predictions are counted clip by clip: whatever the
number of tasks, the embeddings are read clip by clip, and no copy of all of them is made.
"""

from typing import NamedTuple

import numpy as np
from sklearn.model_selection import train_test_split

from bams.mabe.files import FrameMap, Task
from bams.mabe.protocol import Labels, Protocol
from bams.readout.ridge import augment, balanced_ridge_classifier, grams, ridge


class Score(NamedTuple):
    """One row of the score table.

    Attributes:
        task: its name.
        private, public: score on the private (with the public) and on the public test clips.
        metric: "F1" of the positive class, or "MSE" (nan where no frame is labelled).
        no_ensemble: mean of the private scores of the single seeds.
        pooled: score of clip means, or -1 for tasks that are not sequence-level.
        sequence_level: whether the task file says so.
    """

    task: str
    private: float
    public: float
    metric: str
    no_ensemble: float
    pooled: float
    sequence_level: bool


def score(embeddings: np.ndarray, labels: Labels, protocol: Protocol) -> list[Score]:
    """Score embeddings that `read_submission` let pass.

    Args:
        embeddings: (frames, C) float, finite.
        labels, protocol: from `read_labels` and `read_protocol`.

    Returns:
        a row per task of the task file, in its order; tasks X_singletask_fly_0, 1, ... become one row X, where
        the first of them stands.

    Raises:
        ValueError: a task has no labelled frame to fit on.
    """
    tasks = {name: labels.tasks[name] for name in protocol.tasks}
    origin = embeddings[:: max(1, len(embeddings) // 100_000)].mean(axis=0, dtype=np.float64)
    readouts = _fit(embeddings, labels.rows, protocol, tasks, origin)
    counts, means = [], []
    for name in (*protocol.public, *protocol.private):
        span = slice(*labels.rows[name])
        truth = np.stack([task.values[span] for task in tasks.values()]).astype(np.float64)
        discrete = np.array([task.discrete for task in tasks.values()])
        count, mean = _count(augment(embeddings[span], origin), readouts, truth, discrete)
        counts.append(count)
        means.append(mean)
    private, public = np.sum(counts, axis=0), np.sum(counts[: len(protocol.public)], axis=0)
    rows = {}
    for k, (name, task) in enumerate(tasks.items()):
        scores = [_metric(count, task.discrete) for count in private[:, k]]
        whole = name in protocol.sequence_level
        rows[name] = Score(
            name,
            private=scores[-1],
            public=_metric(public[-1, k], task.discrete),
            metric="F1" if task.discrete else "MSE",
            no_ensemble=float(np.mean(scores[:-1])),
            pooled=_pooled(np.stack(means)[:, :, k], task.discrete) if whole else -1.0,
            sequence_level=whole,
        )
    return _merge_flies([rows[name] for name in protocol.tasks])


def _fit(
    embeddings: np.ndarray, rows: FrameMap, protocol: Protocol, tasks: dict[str, Task], origin: np.ndarray
) -> np.ndarray:
    """Coefficients of all read-outs, (seeds, tasks, C+1)."""
    chosen = [set(train_test_split(protocol.train, test_size=0.1, random_state=seed)[0]) for seed in protocol.seeds]
    size = embeddings.shape[1] + 1
    sums = np.zeros((len(chosen), len(tasks), 2, size, size))  # of the positive and the negative frames
    moments = np.zeros((len(chosen), len(tasks), size))
    for name in sorted(protocol.train, key=rows.__getitem__):
        span = slice(*rows[name])
        augmented = augment(embeddings[span], origin)
        whole = augmented.T @ augmented
        seeds = [s for s, train in enumerate(chosen) if name in train]
        for k, (values, discrete) in enumerate(tasks.values()):
            labels = np.asarray(values[span], np.float64)
            lost = np.isnan(labels)
            # in regression every labelled frame counts as positive
            positive = labels == 1 if discrete else ~lost
            found = grams(augmented, np.stack([positive, ~positive & ~lost, lost]), whole)[:2]
            moment = np.where(lost, 0, labels) @ augmented
            for s in seeds:
                sums[s, k] += found
                moments[s, k] += moment
    readouts = np.empty_like(moments)
    for k, (name, task) in enumerate(tasks.items()):
        for s, seed in enumerate(protocol.seeds):
            positive, negative = sums[s, k]
            if positive[-1, -1] + negative[-1, -1] == 0:
                raise ValueError(f"task {name} has no labelled frame in the training clips of seed {seed}")
            readouts[s, k] = (
                balanced_ridge_classifier(positive, negative) if task.discrete else ridge(positive, moments[s, k])
            )
    return readouts


def _count(
    rows: np.ndarray, readouts: np.ndarray, truth: np.ndarray, discrete: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What the scores need to know of one clip.

    Args:
        rows: (T, C+1), augmented.
        readouts: (seeds, tasks, C+1).
        truth: (tasks, T) float64, NaN = not labelled.
        discrete: (tasks,) bool.

    Returns:
        (seeds + 1, tasks, 3), of each seed and, last, of all together: frames rightly positive, frames truly
        positive, frames predicted positive; in regression the summed squared error, the labelled frames, 0.
        (2, tasks), means of the truth and of the joint predictions over labelled frames; NaN = none labelled.
    """
    labelled = ~np.isnan(truth)
    predicted = readouts @ rows.T
    predicted = np.where(discrete[:, None], predicted > 0, predicted)
    # for classes the evaluator's code takes any seed's vote, though its README says majority
    joint = np.where(discrete[:, None], predicted.max(axis=0), predicted.mean(axis=0))
    predicted = np.where(labelled, np.concatenate([predicted, joint[None]]), 0)
    truth = np.where(labelled, truth, 0)
    right = np.einsum("skt,kt->sk", predicted, truth)
    frames = labelled.sum(axis=1)
    counts = np.zeros((*right.shape, 3))
    counts[..., 0] = np.where(discrete, right, np.square(predicted - truth).sum(axis=2))
    counts[..., 1] = np.where(discrete, truth.sum(axis=1), frames)
    counts[..., 2] = np.where(discrete, predicted.sum(axis=2), 0)
    sums = np.stack([truth.sum(axis=1), predicted[-1].sum(axis=1)])
    return counts, np.divide(sums, frames, out=np.full_like(sums, np.nan), where=frames > 0)


def _metric(counts: np.ndarray, discrete: bool) -> float:
    """F1 of the positive class, 0 where nothing is positive; MSE, nan where nothing is labelled."""
    first, second, third = (float(count) for count in counts)
    if discrete:
        return 2 * first / (second + third) if second + third else 0.0
    return first / second if second else float("nan")


def _pooled(means: np.ndarray, discrete: bool) -> float:
    """Score of (clips, 2) means of truth and prediction."""
    truth, predicted = means[np.isfinite(means).all(axis=1)].T
    if not discrete:
        return _metric(np.array([np.square(predicted - truth).sum(), len(truth), 0]), False)
    truth, predicted = truth > 0.5, predicted > 0.5
    return _metric(np.array([(truth & predicted).sum(), truth.sum(), predicted.sum()]), True)


def _merge_flies(rows: list[Score]) -> list[Score]:
    """Average the rows that one behaviour has for each fly; a pooled score only over the flies that have one."""
    groups: dict[str, list[Score]] = {}
    merged: list[Score | str] = []
    for row in rows:
        name, marker, _ = row.task.partition("_singletask_fly_")
        if not marker:
            merged.append(row)
            continue
        if name not in groups:
            merged.append(name)
        groups.setdefault(name, []).append(row)
    return [row if isinstance(row, Score) else _average(row, groups[row]) for row in merged]


def _average(name: str, rows: list[Score]) -> Score:
    pooled = [row.pooled for row in rows if row.sequence_level]
    return Score(
        name,
        private=float(np.mean([row.private for row in rows])),
        public=float(np.mean([row.public for row in rows])),
        metric=rows[0].metric,
        no_ensemble=float(np.mean([row.no_ensemble for row in rows])),
        pooled=float(np.mean(pooled)) if pooled else -1.0,
        sequence_level=bool(pooled),
    )
