"""The job `evaluate` of the MABe 2022 scripts: score files, and write the scores as text and as CSV."""

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bams.mabe.files import FrameMap
from bams.mabe.protocol import read_labels, read_protocol, read_submission
from bams.mabe.scores import Score, score
from bams.readout.scores import aligned
from bams.storage import files

SCORING = {"kept": False, "jobs": {"evaluate": {}}}  # a checkpoint does not hold it


@dataclass(frozen=True)
class MabeConfig:
    """What the scripts of MABe 2022 read to score a submission."""

    submission: str | None = field(default=None, metadata=SCORING)
    """the submission X.npy to score; the table is also written to X_scores.csv beside it"""
    labels: str | None = field(default=None, metadata=SCORING)
    """label file of the test clips; default: the one in the data folder"""
    splits: str | None = field(default=None, metadata=SCORING)
    """JSON file of the evaluator's splits; default: the one in the data folder"""
    tasks: str | None = field(default=None, metadata=SCORING)
    """JSON file of the evaluator's tasks; default: the one in the data folder"""
    baselines: bool = field(default=False, metadata=SCORING)
    """also score the PCA of the input, and the network of --ckpt_path with random weights"""


COLUMNS = (
    *("Task ID", "Private Score", "Public Score", "Metric"),
    *("No Ensemble Score", "Pooled Score", "Sequence Level Task"),
)


def check_settings(config: MabeConfig, ckpt_path: str | None) -> None:
    """Raise ValueError or FileNotFoundError if `evaluate` lacks something."""
    if not config.submission:
        raise ValueError("--job evaluate needs --submission, the X_submission.npy to score")
    files.existing(config.submission)
    if config.baselines and not ckpt_path:
        raise ValueError("--baselines needs --ckpt_path, the checkpoint whose network and input scale they use")


def run_evaluate(
    config: MabeConfig,
    defaults: Mapping[str, Path],
    most_columns: int,
    baselines: Mapping[str, Callable[[FrameMap], np.ndarray]],
) -> list[Score]:
    """Score a submission X.npy, print the table, and write it to X_scores.csv.

    `defaults` are the `labels`, `splits` and `tasks` that `config` does not name. `baselines` to compare with are
    functions that make embeddings (frames, C) float32 for a frame map.
    """
    submission = Path(config.submission)
    files.check_writable(submission.parent)
    paths = {name: Path(getattr(config, name) or path) for name, path in defaults.items()}
    for name, path in paths.items():
        if not path.exists():
            hint = "./download_mabe.sh fetches it" if name == "labels" else "it is in round1/metadata of the evaluator"
            raise FileNotFoundError(f"there is no file {path} ({hint}); name another with --{name}")
    labels = read_labels(paths["labels"])
    protocol = read_protocol(paths["splits"], paths["tasks"], labels)
    scores = score(read_submission(submission, labels.rows, most_columns), labels, protocol)
    print(format_scores(scores))
    print(f"scores: {write_scores(submission.with_name(f'{submission.stem}_scores.csv'), scores)}")
    if baselines:
        others = {name: score(make(labels.rows), labels, protocol) for name, make in baselines.items()}
        print(format_comparison({submission.name: scores, **others}))
    return scores


def write_scores(path: str | Path, scores: list[Score]) -> Path:
    """Write the table as CSV with the public evaluator's column names, whole or not at all."""
    text = io.StringIO()
    csv.writer(text).writerows([COLUMNS, *scores])
    return files.write_text(path, text.getvalue())


def format_scores(scores: list[Score]) -> str:
    """The table as text."""
    return aligned([COLUMNS, *([f"{x:.4f}" if type(x) is float else str(x) for x in row] for row in scores)])


def format_comparison(rows: Mapping[str, list[Score]]) -> str:
    """Private scores, a line per task and a column per scored embedding, and below them the mean F1."""
    cells = [("private score", "metric", *rows)]
    for found in zip(*rows.values(), strict=True):
        cells.append((found[0].task, found[0].metric, *(f"{row.private:.4f}" for row in found)))
    means = [mean_f1(scores) for scores in rows.values()]
    for i, part in enumerate(("private", "public")):
        cells.append((f"mean, {part}", "F1", *(f"{mean[i]:.4f}" for mean in means)))
    return aligned(cells)


def mean_f1(scores: list[Score]) -> tuple[float, float]:
    """Mean private and public F1 of the tasks that are scored by F1; nan if there is none."""
    rows = [(score.private, score.public) for score in scores if score.metric == "F1"]
    return tuple(np.mean(rows, axis=0).tolist()) if rows else (np.nan, np.nan)
