"""Labels of your own recordings, read out of the embedding during training and after it."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bams import checkpoint
from bams.app.cli import Settings
from bams.app.labelled import evaluate_model, to_log
from bams.compute.devices import pick_device
from bams.data.labels import annotations_of
from bams.embedder.defaults import make_dataset
from bams.models.bams import BAMS
from bams.recordings.recording import Recording
from bams.storage import files
from bams.training.plan import Plan
from bams.training.run import steps_and_epochs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Annotations = tuple[dict[str, Any], dict[str, Any]]  # labels by name, and what they are: see `bams.data.labels`


def read_labels(path: str) -> Annotations:
    """Labels in the `.npz` of the keypoints, and what they are, see `bams.data.labels.annotations_of`."""
    if not Path(path).is_file():
        raise ValueError(f"{path} is not a file; labels are read from one .npz, with the keypoints that they are of")
    return annotations_of(files.read_arrays(path))


class LabelEvaluation:
    """Linear read-outs of the labels of recordings; called after each epoch of training, see `bams.train`.

    Args:
        settings: of the script.
        recordings: cleaned.
        plan: of the training; its statistics scale the inputs.
        labels: of the recordings.

    Raises:
        ValueError: a label cannot be read out; this is said before training.
    """

    def __init__(self, settings: Settings, recordings: list[Recording], plan: Plan, labels: Annotations):
        annotations, eval_utils = labels
        config, self.every = settings.script, settings.script.eval_every
        _, self.epochs = steps_and_epochs(plan.config, len(plan.dataset))
        dataset = make_dataset(
            recordings,
            plan.dataset.config,
            statistics=plan.dataset.statistics,
            sequence_length=settings.run.sequence_length,
            cache_path=settings.run.cache_path,
            annotations=annotations,
            eval_utils=eval_utils | {"ignore_classes": config.ignore_classes},
        )
        self.read_out = partial(
            evaluate_model,
            dataset=dataset,
            fps=recordings[0].fps or 30,
            most_frames=config.eval_frames,
            folds=config.eval_folds,
            device=pick_device(settings.train.device),
        )
        self.read_out(None)

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
