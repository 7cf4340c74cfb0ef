"""The settings that all scripts share; each field is a flag, and its docstring the flag's help."""

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from bams.features.config import FeatureConfig
from bams.recordings.arrays import Third
from bams.recordings.cleaning import CleaningConfig

FIXED = {"fixed": True}  # may not change when a run is resumed
NOT_KEPT = {"kept": False}  # never taken from a checkpoint: no file decides what is opened or written, or what is done
OWN = {"jobs": {"report": {}, "train": {}, "compute_representations": {}}}  # of all jobs of your own recordings
REPORTED = {"jobs": {"report": {}, "train": {}}}
EMBEDDED = {"jobs": {"compute_representations": {}}}
MODEL = {"jobs": {"train": {}, "compute_representations": {}, "evaluate": {"baselines": True}}}


Job = Literal["train", "compute_representations", "evaluate", "report", "all"]
EVERY = {"jobs": {job: {} for job in get_args(Job)}}


def _check_least(config: Any, **least: float) -> None:
    for name, lowest in least.items():
        if not lowest <= getattr(config, name) < float("inf"):
            raise ValueError(f"{name} is {getattr(config, name)}; it must be finite and at least {lowest}")


@dataclass(frozen=True)
class RunConfig:
    """What to do, with which data, and where the results go."""

    job: Job = field(default="train", metadata=NOT_KEPT | EVERY)
    """train: train a model; compute_representations: embed recordings with a trained model; evaluate: score the
    embeddings (MABe data and robots); report: say what your own recordings are like; all: report, train, embed, draw"""
    data_root: str = field(default="", metadata=NOT_KEPT | EVERY)
    """where the recordings are"""
    ckpt_path: str | None = field(default=None, metadata=NOT_KEPT | MODEL)
    """the checkpoint: what train writes (a dated name in output_dir unless given), or what the other jobs read"""
    resume: str | None = field(default=None, metadata=NOT_KEPT)
    """checkpoint of an interrupted run to go on with, in that file and with its settings; auto: ckpt_path if it is
    there, else the newest whole checkpoint in output_dir, else a new run"""
    output_dir: str = field(default=".", metadata=NOT_KEPT | {"jobs": {"train": {"ckpt_path": None}, "report": {}}})
    """folder for checkpoints, and for report.png"""
    log_dir: str = field(default="runs", metadata=NOT_KEPT)
    """folder for TensorBoard files; each run has its own folder in it"""
    cache_path: str | None = field(default=None, metadata=NOT_KEPT)
    """folder to keep features in, as mapped files, which need no memory; unless given only the features of MABe's mice
    and flies are kept, in data_root/cache"""
    hoa_bins: int = field(default=32, metadata=FIXED)
    """Q: bins of the histogram of actions, 2 to 256"""
    sequence_length: int = field(default=1800, metadata=FIXED)
    """frames of a training window; longer recordings are cut for training, and embedded whole"""
    val_share: float = field(default=0.1, metadata=FIXED)
    """share of the recordings that is held out to measure the skill on"""
    debug: bool = field(default=False, metadata=NOT_KEPT | EVERY)
    """show the full traceback of an error"""

    def __post_init__(self):
        if not 2 <= self.hoa_bins <= 256:
            raise ValueError(f"hoa_bins is {self.hoa_bins}; it must be from 2 to 256")
        if not 0 <= self.val_share < 1:
            raise ValueError(f"val_share is {self.val_share}; it must be from 0 to below 1")
        _check_least(self, sequence_length=2)
        if self.job == "compute_representations" and not self.ckpt_path:
            raise ValueError("--job compute_representations needs --ckpt_path, the checkpoint to embed with")
        if self.resume and self.job not in ("train", "all"):
            raise ValueError(f"--resume goes on with a training; leave it out of --job {self.job}")
        if self.resume not in (None, "auto") and self.ckpt_path:
            raise ValueError("--resume goes on in its own file; leave --ckpt_path out")


@dataclass(frozen=True)
class CustomConfig(FeatureConfig, CleaningConfig):
    """Your own recordings."""

    fps: float = field(default=0, metadata=OWN)
    """frames per second; 0: what the files say, if they do"""
    individuals: int = field(default=0, metadata=OWN)
    """animals in a recording, where the tracker gives more tracklets than animals; 0: each track is an animal"""
    view: str | None = field(default=None, metadata=NOT_KEPT | OWN)
    """camera to take from datasets of movement that hold several views"""
    missing_value: float | None = field(default=None, metadata=FIXED | OWN)
    """a number that stands for not tracked where all coordinates of a keypoint have it, such as -1, 0 or inf"""
    third: Third = field(default="height", metadata=FIXED | OWN)
    """what a third coordinate is: the height, or the confidence of the other two"""
    segments: str | None = field(default=None, metadata=NOT_KEPT | OWN)
    """CSV file with the columns recording, start and end: only these parts are trained on, or embedded"""
    about: str | None = field(default=None, metadata=NOT_KEPT)
    """CSV file with the column recording, perhaps individual, and others about it: recordings of the same group are
    held out together; the others are labels to read out"""
    hoa_window_s: float = field(default=0, metadata=REPORTED)
    """seconds to come that are predicted; 0: hoa_window frames"""
    format: Literal["auto", "arrays", "csv", "parquet", "hdf5", "npz"] = field(
        default="auto", metadata=NOT_KEPT | EMBEDDED
    )
    """of embeddings; arrays: one .npz with the arrays of all recordings; the others: a file for each recording; auto:
    arrays for .npy and .npz files, else csv"""

    def __post_init__(self):
        FeatureConfig.__post_init__(self)
        CleaningConfig.__post_init__(self)
        _check_least(self, fps=0, individuals=0, hoa_window_s=0)


@dataclass(frozen=True)
class LabelConfig(CustomConfig):
    """Your own recordings, with labels."""

    labels: str | None = field(default=None, metadata=NOT_KEPT)
    """events that somebody scored, of BORIS or as a CSV: a file, a folder or a pattern; unless given, the labels are
    those in the .npz of the keypoints"""
    ignore_classes: str = ""
    """classes that count as not labelled, as label:class by name or number, several joined by commas"""
    eval_every: int = 10
    """epochs between read-outs for TensorBoard, one more at the end; 0: at the end alone"""
    eval_frames: int = 200_000
    """most frames to read out; of more, each n-th frame of a recording is taken"""
    eval_folds: int = 5
    """folds of the cross-validation; as many as there are recordings if those are fewer"""

    def __post_init__(self):
        super().__post_init__()
        _check_least(self, eval_every=0, eval_frames=1, eval_folds=2)
