"""The jobs of recordings of one's own that have labels: trained without the labels, which are then read out."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bams import checkpoint
from bams.app import cli, custom
from bams.app.config import LabelConfig
from bams.app.labelled import evaluate_model, to_log
from bams.checkpoint import CUSTOM
from bams.compute import distributed
from bams.compute.devices import pick_device
from bams.data.labels import annotations_of
from bams.embedder.defaults import DEFAULTS, make_dataset
from bams.models.bams import BAMS
from bams.readout.scores import Table
from bams.recordings.recording import Recording
from bams.storage import files
from bams.training.loop import Evaluate
from bams.training.plan import Plan
from bams.training.run_state import steps_and_epochs

Annotations = tuple[dict[str, Any], dict[str, Any]]
ReadOut = Callable[..., Table]


def main(argv: Sequence[str], load_data: custom.LoadData, load_annotations: Callable[[str], Annotations]) -> None:
    """Run one job on the recordings that `load_data` reads, with the labels that `load_annotations` reads."""
    what = "BAMS on labelled recordings of your own."
    settings = cli.parse(argv, what, CUSTOM, LabelConfig, DEFAULTS, custom.JOBS[:3])
    recordings = custom.read_recordings(settings, load_data)
    if settings.run.job != "train":
        custom.run(settings, recordings)
        return
    labels, made = load_annotations(settings.run.data_root), []

    def make_evaluate(cleaned: list[Recording], plan: Plan) -> Evaluate:
        made.append(make_read_out(settings, cleaned, plan, *labels))
        made[0](None)  # what cannot be read out is said now, not after hours of training
        return partial(_evaluate, made[0], settings.script.eval_every, plan)

    path = custom.run(settings, recordings, make_evaluate)
    if distributed.is_first():
        write_scores(path, made[0](checkpoint.load(path).model))


def read_annotations(path: str) -> Annotations:
    """Labels in the `.npz` of the keypoints, and what they are, see `bams.data.labels.annotations_of`."""
    if not Path(path).is_file():
        raise ValueError(f"{path} is not a file; labels are read from one .npz, with the keypoints that they are of")
    return annotations_of(files.read_arrays(path))


def make_read_out(
    settings: cli.Settings,
    recordings: list[Recording],
    plan: Plan,
    annotations: dict[str, Any],
    eval_utils: dict[str, Any],
) -> ReadOut:
    """What reads the labels of recordings out of a model."""
    config = settings.script
    ignored = {"ignore_classes": config.ignore_classes}
    dataset = make_dataset(
        recordings,
        plan.dataset.config,
        statistics=plan.dataset.statistics,
        sequence_length=settings.run.sequence_length,
        cache_path=settings.run.cache_path,
        annotations=annotations,
        eval_utils=eval_utils | ignored,
    )
    return partial(
        evaluate_model,
        dataset=dataset,
        fps=recordings[0].fps or 30,
        most_frames=config.eval_frames,
        folds=config.eval_folds,
        device=pick_device(settings.train.device),
    )


def write_scores(path: Path, table: Table) -> None:
    """Print the scores, and write them to X_scores.csv beside the checkpoint X.pt."""
    target = path.with_name(f"{path.stem}_scores.csv")
    files.write_text(target, table.to_csv())
    print(f"\n{table}\n\nscores of held-out recordings ± deviation over folds: {target}")


def _evaluate(read_out: ReadOut, every: int, plan: Plan, model: BAMS, epoch: int) -> tuple[dict, dict]:
    """What is logged after an epoch, if a read-out is due."""
    _, epochs = steps_and_epochs(plan.config, len(plan.dataset))
    due = epoch == epochs or (every and epoch % every == 0)
    return to_log(read_out(model, baselines=False)) if due else ({}, {})
