"""The job `evaluate` of the MABe 2022 scripts: from files to a table, on the screen and as CSV."""

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bams.mabe.files import FrameMap
from bams.mabe.protocol import WHERE, read_labels, read_protocol, read_submission
from bams.mabe.scores import Score, score
from bams.storage import files


@dataclass(frozen=True)
class MabeConfig:
    """What the scripts of MABe 2022 read to score a submission."""

    submission: str | None = field(default=None, metadata={"kept": False})
    """for evaluate: the submission X.npy to score; the table is also written to X_scores.csv beside it"""
    labels: str | None = field(default=None, metadata={"kept": False})
    """for evaluate: label file of the test clips; the one in the data folder unless given"""
    splits: str | None = field(default=None, metadata={"kept": False})
    """for evaluate: JSON file of the evaluator's splits; the one in the data folder unless given"""
    tasks: str | None = field(default=None, metadata={"kept": False})
    """for evaluate: JSON file of the evaluator's tasks; the one in the data folder unless given"""
    baselines: bool = field(default=False, metadata={"kept": False})
    """for evaluate: also score the PCA of the input, and the network of --ckpt_path with random weights"""


COLUMNS = (
    *("Task ID", "Private Score", "Public Score", "Metric"),
    *("No Ensemble Score", "Pooled Score", "Sequence Level Task"),
)


def check_settings(config: MabeConfig, ckpt_path: str | None) -> None:
    """Raise ValueError or FileNotFoundError, before any work, unless `evaluate` has what it needs."""
    if not config.submission:
        raise ValueError("--job evaluate needs --submission, the X_submission.npy to score")
    if not Path(config.submission).exists():
        raise FileNotFoundError(f"there is no file {config.submission}")
    if config.baselines and not ckpt_path:
        raise ValueError("--baselines needs --ckpt_path, the checkpoint whose network and input scale they take")


def run_evaluate(
    config: MabeConfig,
    defaults: Mapping[str, Path],
    most_columns: int,
    baselines: Mapping[str, Callable[[FrameMap], np.ndarray]] | None = None,
) -> list[Score]:
    """Score a submission, print the table, and write it beside the submission.

    Args:
        config: which files are named; the table of the submission X.npy goes to X_scores.csv.
        defaults: the files `labels`, `splits` and `tasks` where none is named.
        most_columns: columns of the embeddings at most.
        baselines: what to compare with: by name, frame map -> embeddings (frames, C) float32.

    Returns:
        the rows of the table.

    Raises:
        FileNotFoundError, ValueError: a file is missing or malformed, or they do not fit each other.
        OSError: the folder of the submission cannot be written.
    """
    submission = Path(config.submission)
    files.check_writable(submission.parent)
    paths = {name: Path(getattr(config, name) or path) for name, path in defaults.items()}
    for name, path in paths.items():
        if not path.exists():
            hint = "./download_mabe.sh fetches it" if name == "labels" else WHERE
            raise FileNotFoundError(f"there is no file {path} ({hint}); name another with --{name}")
    labels = read_labels(paths["labels"])
    protocol = read_protocol(paths["splits"], paths["tasks"], labels)
    scores = score(read_submission(submission, labels.rows, most_columns), labels, protocol)
    print(format_scores(scores))
    target = write_scores(submission.with_name(f"{submission.stem}_scores.csv"), scores)
    print(f"scores: {target}")
    if baselines:
        rows = {submission.name: scores}
        rows |= {name: score(make(labels.rows), labels, protocol) for name, make in baselines.items()}
        print(format_comparison(rows))
    return scores


def write_scores(path: str | Path, scores: list[Score]) -> Path:
    """Write the table as CSV under the public evaluator's column names, whole or not at all."""
    text = io.StringIO()
    csv.writer(text).writerows([COLUMNS, *scores])
    with files.atomic_write(path) as file:
        file.write(text.getvalue().encode())
    return Path(path)


def format_scores(scores: list[Score]) -> str:
    """The table as text."""
    cells = [COLUMNS]
    for row in scores:
        numbers = [f"{value:.4f}" for value in (row.private, row.public, row.no_ensemble, row.pooled)]
        cells.append((row.task, *numbers[:2], row.metric, *numbers[2:], str(row.sequence_level)))
    return _aligned(cells)


def format_comparison(rows: Mapping[str, list[Score]]) -> str:
    """Private scores side by side, a line per task and a column per scored embedding, and their mean F1."""
    first = next(iter(rows.values()))
    cells = [("private score", "metric", *rows)]
    for i, task in enumerate(first):
        cells.append((task.task, task.metric, *(f"{scored[i].private:.4f}" for scored in rows.values())))
    means = [mean_f1(scored) for scored in rows.values()]
    for part, values in zip(("private", "public"), zip(*means, strict=True), strict=True):
        cells.append((f"mean, {part}", "F1", *(f"{value:.4f}" for value in values)))
    return _aligned(cells)


def mean_f1(scores: list[Score]) -> tuple[float, float]:
    """Mean private and public F1 over the rows that have one; nan where none has."""
    rows = [(score.private, score.public) for score in scores if score.metric == "F1"]
    private, public = np.mean(rows, axis=0) if rows else (np.nan, np.nan)
    return float(private), float(public)


def _aligned(cells: list[tuple[str, ...]]) -> str:
    """Lines of equal width, the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in cells]
    return "\n".join("  ".join(line) for line in lines)
