"""Scores of read-outs, and the table of them.

Axes: K classes.
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

COLUMNS = (
    *("label", "kind", "level", "row", "metric", "value", "spread"),
    *("folds", "groups", "read_out", "labelled"),
)


class Score(NamedTuple):
    """A score of all held-out predictions together, and the deviation of the folds' own; NaN = not defined."""

    value: float
    spread: float


@dataclass(frozen=True)
class LabelScores:
    """All read-outs of one label.

    Attributes:
        label: its name.
        kind: 'classification' or 'regression'.
        level: 'frame' or 'sequence'.
        rows: by row and metric.
        confusions: by row, (K, K) float64, rows are the true classes and sum to 1; of classes only.
        class_names: K names.
        folds, groups: how many there are of each.
        read_out, labelled: frames or sequences that were read out, of so many that carry the label.
    """

    label: str
    kind: str
    level: str
    rows: dict[str, dict[str, Score]]
    confusions: dict[str, np.ndarray]
    class_names: list[str]
    folds: int
    groups: int
    read_out: int
    labelled: int

    def to_text(self) -> str:
        """A heading and one line per row, with a column per metric."""
        heading = (
            f"{self.label}: {self.kind}, {self.read_out:,} of {self.labelled:,} labelled {self.level}s read out, "
            f"{self.groups} groups in {self.folds} folds"
        )
        metrics = list(next(iter(self.rows.values())))
        cells = [["", *metrics]]
        for name, scores in self.rows.items():
            cells.append([name, *(_cell(scores[metric]) for metric in metrics)])
        widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
        lines = [
            "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in cells
        ]
        return "\n".join([heading, *lines])


@dataclass(frozen=True)
class Table:
    """Read-outs of several labels: `table["label"].rows["row"]["metric"].value`."""

    labels: Sequence[LabelScores]

    def __getitem__(self, label: str) -> LabelScores:
        return next(scores for scores in self.labels if scores.label == label)

    def to_text(self) -> str:
        """One block per label; value ± deviation over folds."""
        return "\n\n".join(scores.to_text() for scores in self.labels)

    __str__ = to_text

    def to_csv(self) -> str:
        """One line per label, row and metric, with the columns `COLUMNS`; empty where a score is not defined."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        for s in self.labels:
            for row, scores in s.rows.items():
                for metric, score in scores.items():
                    numbers = ("" if np.isnan(x) else f"{x:.6g}" for x in score)
                    about = (s.folds, s.groups, s.read_out, s.labelled)
                    writer.writerow((s.label, s.kind, s.level, row, metric, *numbers, *about))
        return out.getvalue()


def count_confusion(true: np.ndarray, predicted: np.ndarray, count: int) -> np.ndarray:
    """Classes (rows,) int from 0 to `count` - 1 -> (K, K) int, true classes by predicted ones."""
    return np.bincount(true * count + predicted, minlength=count**2).reshape(count, count)


def class_scores(confusion: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """Macro F1 and balanced accuracy over the classes that occur, and the F1 of each (NaN if it does not).

    Args:
        confusion: (K, K) counts, true classes by predicted ones.
        names: K names.
    """
    right, true, predicted = np.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    there = true > 0
    f1 = np.where(there, 2 * right / np.maximum(true + predicted, 1e-300), np.nan)
    recall = right[there] / true[there]
    return {
        "macro F1": float(f1[there].mean()) if there.any() else np.nan,
        "balanced accuracy": float(recall.mean()) if there.any() else np.nan,
        **{f"F1 {name}": float(value) for name, value in zip(names, f1, strict=True)},
    }


def value_scores(values: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """R2 (NaN if all values are the same) and MSE of (rows,) float values, NaN = not labelled."""
    known = np.isfinite(values)
    if not known.any():
        return {"R2": np.nan, "MSE": np.nan}
    error = float(np.square(values[known] - predicted[known]).mean())
    variance = float(values[known].var())
    return {"R2": 1 - error / variance if variance > 0 else np.nan, "MSE": error}


def normalised(confusion: np.ndarray) -> np.ndarray:
    """A confusion matrix (K, K) of counts with rows that sum to 1; NaN where a class does not occur."""
    true = confusion.sum(axis=1, keepdims=True)
    return np.where(true > 0, confusion / np.maximum(true, 1e-300), np.nan)


def with_spread(score: Callable[[Any], Mapping[str, float]], together: Any, parts: Sequence[Any]) -> dict[str, Score]:
    """`score` of all held-out predictions together, with the deviation over the folds in which it is defined."""
    of_parts = [score(part) for part in parts]
    found = {}
    for name, value in score(together).items():
        values = [scores[name] for scores in of_parts if np.isfinite(scores[name])]
        found[name] = Score(value, float(np.std(values, ddof=1)) if len(values) > 1 else np.nan)
    return found


def names_of(classes: np.ndarray, names: Sequence[str]) -> list[str]:
    """Names of the classes (K,) int, from those of class 0, 1, ...; their numbers where there is none."""
    return [names[c] if c < len(names) else str(c) for c in classes]


def _cell(score: Score) -> str:
    if np.isnan(score.value):
        return "-"
    digits = ".3f" if abs(score.value) < 100 else ".4g"
    return f"{score.value:{digits}}" + ("" if np.isnan(score.spread) else f" ± {score.spread:{digits}}")
