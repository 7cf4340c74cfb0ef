"""Scores of linear read-outs, and tables of them. Axes: M frames or sequences, K classes."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

COLUMNS = ("label", "kind", "level", "row", "metric", "value", "spread", "folds", "groups", "read_out", "labelled")


class Score(NamedTuple):
    """A score of all held-out predictions, and its standard deviation over the folds; NaN = not defined."""

    value: float
    spread: float = np.nan


@dataclass(frozen=True)
class LabelScores:
    """All read-outs of one label."""

    label: str
    kind: str  # 'classification' or 'regression'
    level: str  # 'frame' or 'sequence'
    rows: dict[str, dict[str, Score]]  # by embedding and metric
    confusions: dict[str, np.ndarray]  # by embedding (K, K), see `confusion_shares`; empty for regression
    class_names: list[str]
    folds: int
    groups: int
    read_out: int  # frames or sequences
    labelled: int  # frames or sequences, of which `read_out` are used

    def to_text(self) -> str:
        """A heading, and one line per embedding with a column per metric."""
        rows = f"{self.read_out:,} of {self.labelled:,} labelled {self.level}s read out"
        heading = f"{self.label}: {self.kind}, {rows}, {self.groups} groups in {self.folds} folds"
        metrics = next(iter(self.rows.values()))
        lines = [[name, *(_cell(scores[metric]) for metric in metrics)] for name, scores in self.rows.items()]
        return f"{heading}\n{aligned([['', *metrics], *lines])}"


@dataclass(frozen=True)
class Table:
    """Read-outs of several labels: `table["label"].rows["embedding"]["metric"].value`."""

    labels: Sequence[LabelScores]

    def __getitem__(self, label: str) -> LabelScores:
        return next(scores for scores in self.labels if scores.label == label)

    def to_text(self) -> str:
        """One block per label; value ± standard deviation over folds."""
        return "\n\n".join(scores.to_text() for scores in self.labels)

    __str__ = to_text

    def to_csv(self) -> str:
        """One line per label, embedding and metric, with the columns `COLUMNS`; empty where a score is not defined."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        for s in self.labels:
            counts = s.folds, s.groups, s.read_out, s.labelled
            for row, metric, score in ((row, *pair) for row, scores in s.rows.items() for pair in scores.items()):
                numbers = ("" if np.isnan(x) else f"{x:.6g}" for x in score)
                writer.writerow((s.label, s.kind, s.level, row, metric, *numbers, *counts))
        return out.getvalue()


def aligned(cells: Sequence[Sequence[str]]) -> str:
    """Rows of text as lines with aligned columns, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in cells]
    return "\n".join("  ".join(line).rstrip() for line in lines)


def class_scores(true: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """Macro F1 and balanced accuracy over the classes that occur, and the F1 of each class (NaN if it does not occur).

    `true` and `predicted` are (M, K), 1 = the class and 0 = another, or the probability of each; `names` has K names.
    """
    right, of_true, of_predicted = (true * predicted).sum(axis=0), true.sum(axis=0), predicted.sum(axis=0)
    with np.errstate(invalid="ignore"):
        recall = right / of_true
        f1 = np.where(of_true > 0, 2 * right / (of_true + of_predicted), np.nan)
    of_classes = {f"F1 {name}": float(value) for name, value in zip(names, f1, strict=True)}
    return {"macro F1": _mean(f1), "balanced accuracy": _mean(recall), **of_classes}


def value_scores(values: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """R2 (NaN if all values are equal) and mean squared error of (M,) or (M, 1) float; values of NaN are left out."""
    known = np.isfinite(values)
    error, variance = _mean(np.square(values - predicted)[known]), float(np.var(values[known])) if known.any() else 0.0
    return {"R2": 1 - error / variance if variance > 0 else np.nan, "MSE": error}


def confusion_shares(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Shares of predicted classes (K, K), a row per true class (NaN if it does not occur), from (M, K) arrays."""
    with np.errstate(invalid="ignore"):
        return true.T @ predicted / true.sum(axis=0)[:, None]


def over_folds(score: Callable, true: np.ndarray, predicted: np.ndarray, fold: np.ndarray) -> dict[str, Score]:
    """Scores of all held-out predictions, with the standard deviation over the folds in which each is defined."""
    of_folds = [score(true[fold == f], predicted[fold == f]) for f in np.unique(fold)]
    found = {}
    for name, value in score(true, predicted).items():
        values = [scores[name] for scores in of_folds if np.isfinite(scores[name])]
        found[name] = Score(value, float(np.std(values, ddof=1)) if len(values) > 1 else np.nan)
    return found


def names_of(classes: np.ndarray, names: Sequence[str]) -> list[str]:
    """Names of the classes (K,) int, from the names of class 0, 1, ...; the number where there is no name."""
    return [names[c] if c < len(names) else str(c) for c in classes]


def _cell(score: Score) -> str:
    if np.isnan(score.value):
        return "-"
    digits = ".3f" if abs(score.value) < 100 else ".4g"
    return f"{score.value:{digits}}" + ("" if np.isnan(score.spread) else f" ± {score.spread:{digits}}")


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan
