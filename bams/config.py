"""The settings that all scripts share; each field is a flag, and its docstring the flag's help."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar

Part = TypeVar("Part")


def part_of(settings: Mapping[str, Any], cls: type[Part]) -> Part:
    """The settings of one class among those of several, by name; defaults for what is not there."""
    return cls(**{field.name: settings[field.name] for field in fields(cls) if field.name in settings})


def _check_no_blanks(settings: Any) -> None:
    """YAML takes a name that no value follows for nothing."""
    for field in fields(settings):
        if getattr(settings, field.name) is None and field.default is not None:
            raise ValueError(f"{field.name} has no value; give one, or leave it out")


@dataclass(frozen=True)
class RunConfig:
    """What to do, with which data, and where the results go."""

    job: Literal["train", "compute_representations", "evaluate", "report", "all"] = "train"
    """train a model, embed recordings with a trained one, score the embeddings (of the MABe data and the robots),
    report what recordings of your own are like, or do all that there is to do with these"""
    data_root: str = ""
    """where the recordings are"""
    ckpt_path: str | None = None
    """the checkpoint: for train the file to write (a dated name in output_dir unless given),
    for compute_representations the file to read"""
    resume: str | None = None
    """checkpoint of an interrupted run to go on from, whose settings hold unless given anew; auto: ckpt_path if it
    is there, else the newest whole checkpoint in output_dir, else a new run"""
    output_dir: str = "."
    """folder for checkpoints"""
    log_dir: str = "runs"
    """folder for TensorBoard files; each run has its own folder in it"""
    cache_path: str | None = None
    """folder to keep features in, as mapped files, so that they need no memory and the next start is quicker;
    unless given nothing is kept, but for mice and flies in data_root/cache"""
    hoa_bins: int = 32
    """Q: bins of the histogram of actions, 2 to 256"""
    sequence_length: int = 1800
    """frames of a training window; longer recordings are cut, and embedded whole"""
    val_share: float = 0.1
    """share of the recordings that is held out to watch the skill on"""
    debug: bool = False
    """show the full traceback of an error"""

    def __post_init__(self):
        _check_no_blanks(self)
        if not 2 <= self.hoa_bins <= 256:
            raise ValueError(f"hoa_bins is {self.hoa_bins}; it must be from 2 to 256")
        if not 0 <= self.val_share < 1:
            raise ValueError(f"val_share is {self.val_share}; it must be from 0 to below 1")
        if self.sequence_length < 2:
            raise ValueError(f"sequence_length is {self.sequence_length}; it must be at least 2")
        if self.job == "compute_representations" and not self.ckpt_path:
            raise ValueError("--job compute_representations needs --ckpt_path, the checkpoint to embed with")
        if self.resume and self.job not in ("train", "all"):
            raise ValueError(f"--resume goes on with a training; leave it out of --job {self.job}")
        if self.resume not in (None, "auto") and self.ckpt_path:
            raise ValueError("--resume goes on in its own file; leave --ckpt_path out")


@dataclass(frozen=True)
class FeatureConfig:
    """What the network sees and predicts of recordings of one's own, of any skeleton."""

    tracks: Literal["individual", "joint"] = "individual"
    """individual: one track per animal, pooled after embedding, free of order; joint: all animals in one track"""
    features: Literal["own", "camera", "raw"] = "own"
    """own: posture and movement in the animal's own frame, along its heading, and distances to other animals;
    camera: the same in the directions of the camera; raw: position, posture and displacement
    of each animal alone, and its displacement is what is predicted"""
    heading: str = ""
    """two keypoints as back:front that give the heading; the principal axis of the body unless given"""
    others: int = 1
    """of so many other animals, the nearest first, a track tells; fewer if there are fewer"""
    predict: tuple[Literal["movement", "lengths", "observed", "distances", "approach"], ...] = (
        *("movement", "distances"),
    )
    """what of the frames to come is predicted, its distribution: displacement of each keypoint; lengths between
    points of the body; whether each keypoint is observed; distances to the other animals; the change of these"""

    def __post_init__(self):
        _check_no_blanks(self)
        # of files and scripts it comes as a list, or as a word alone
        predict = (self.predict,) if isinstance(self.predict, str) else tuple(self.predict)
        object.__setattr__(self, "predict", predict)
        for name, known in CHOICES.items():
            values = getattr(self, name)
            for value in (values,) if isinstance(values, str) else values:
                if value not in known:
                    raise ValueError(f"{name} has {value!r}; it must be of {', '.join(known)}")
        if not set(self.predict) - {"distances", "approach"}:
            raise ValueError("predict must have movement, lengths or observed, as there may be one animal alone")
        if self.features == "raw" and self.heading:
            raise ValueError("heading has no use with features raw, which have no direction; leave one of them out")
        if self.others < 0:
            raise ValueError(f"others is {self.others}; it must be at least 0")


CHOICES = {
    "tracks": ("individual", "joint"),
    "features": ("own", "camera", "raw"),
    "predict": ("movement", "lengths", "observed", "distances", "approach"),
}


@dataclass(frozen=True)
class CleaningConfig:
    """What is done to the keypoints of files before anything else, in this order; by default nothing."""

    resample: float = 0
    """frames per second to bring all recordings to, positions between frames on a straight line; 0: as they are"""
    rename: str = ""
    """keypoints to give other names, as old:new,old:new; where a recording lacks one it stays as it is"""
    keypoints: str = ""
    """keypoints to keep, in this order, as name,name; all of them unless given"""
    min_confidence: float = 0
    """positions of a lower confidence count as not tracked"""
    max_jump: float = 0
    """most body lengths that a keypoint moves in a frame; what it reaches faster counts as not tracked; 0: any"""
    interpolate: int = 0
    """gaps of at most so many frames are filled on a straight line; 0: none"""
    unit: Literal["file", "body"] = "file"
    """of positions: that of the files, or body lengths, so that cameras and sizes of animals do not matter"""

    def __post_init__(self):
        _check_no_blanks(self)
        for name in ("resample", "min_confidence", "max_jump", "interpolate"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}; it must be finite and at least 0")
        if self.unit not in ("file", "body"):
            raise ValueError(f"unit is {self.unit!r}; it must be file or body")
        if self.keypoints and ("" in self.kept or len(set(self.kept)) < len(self.kept)):
            raise ValueError(f"keypoints is {self.keypoints!r}; expected different names, as name,name")
        pairs = [part.split(":") for part in self.rename.split(",")] if self.rename else []
        if any(len(pair) != 2 or not all(map(str.strip, pair)) for pair in pairs) or len(self.renames) < len(pairs):
            raise ValueError(f"rename is {self.rename!r}; expected old:new,old:new with different old names")

    @property
    def kept(self) -> list[str]:
        """Names of the keypoints to keep; none = all."""
        return [name.strip() for name in self.keypoints.split(",")] if self.keypoints else []

    @property
    def renames(self) -> dict[str, str]:
        """New names by old ones."""
        pairs = [part.partition(":") for part in self.rename.split(",")] if self.rename else []
        return {old.strip(): new.strip() for old, _, new in pairs}


@dataclass(frozen=True)
class MabeConfig:
    """What the scripts of MABe 2022 read to score a submission."""

    submission: str | None = None
    """for evaluate: the submission X.npy to score; the table is also written to X_scores.csv beside it"""
    labels: str | None = None
    """for evaluate: label file of the test clips; the one in the data folder unless given"""
    splits: str | None = None
    """for evaluate: JSON file of the evaluator's splits; the one in the data folder unless given"""
    tasks: str | None = None
    """for evaluate: JSON file of the evaluator's tasks; the one in the data folder unless given"""
    baselines: bool = False
    """for evaluate: also score the PCA of the input, and the network of --ckpt_path with random weights"""


@dataclass(frozen=True)
class TrainConfig:
    """How to train; every field is a flag of the scripts."""

    epochs: int = 500
    """passes over the training windows; 0: as many as make 1500 steps"""
    batch_size: int = 32
    """windows in a batch"""
    lr: float = 1e-3
    """learning rate of the encoders and the action predictor"""
    bootstrap_lr: float = 1e-2
    """learning rate of the bootstrap predictors"""
    weight_decay: float = 4e-5
    """weight decay of AdamW"""
    lr_schedule: Literal["steps", "cosine"] = "steps"
    """steps: constant between lr_milestones; cosine: rise over the first steps, then fall to nearly 0"""
    lr_milestones: tuple[int, ...] = (200,)
    """of lr_schedule steps: epochs at which the learning rates are multiplied by 0.1"""
    hoa_window: int = 30
    """W: the histogram of actions covers this many frames to come"""
    skip_frames: int = 100
    """first frames of a window that give no loss, as the encoders lack context there"""
    hoa_frames: float = 0.25
    """share of the frames at which the action predictor is trained in each step, above 0 and at most 1"""
    hide_parts: float = 0.3
    """probability with which an embedding, or the frame's input, is hidden from the action predictor, so that
    each encoder learns to tell the actions alone; 0 as in the paper"""
    loss: Literal["normalised", "paper"] = "normalised"
    """normalised: start at the data-wide histogram, and divide each action's loss by that histogram's;
    paper: the plain mean over actions, weighted by 500, from a random start"""
    bootstrap_weight: float = 0.5
    """weight of each encoder's bootstrap loss"""
    views: int = 1
    """pairs of frames that each bootstrap loss compares, per window and step; at least 32 in a batch"""
    near_frames: int = 5
    """most frames between the two of a near pair"""
    far_frames: int = 0
    """most frames between the two of a far pair; 0: any two of the window"""
    seed: int = 0
    """every random draw follows from it"""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """numbers that the network computes with in training; auto: bfloat16 where the device is made for it. Weights,
    losses and embeddings are float32 in any case"""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps, ..."""
    num_workers: int = -1
    """processes that load batches; 0 loads in the training process; -1: none beside a CPU that trains, which they
    would take time from, and up to 4 for a GPU"""
    log_every_step: int = 10
    """steps between points of the training curves"""
    checkpoint_every: int = 1
    """epochs between checkpoints; one is also written at the end and on Ctrl-C"""

    def __post_init__(self):
        _check_no_blanks(self)
        one = ("batch_size", "hoa_window", "log_every_step", "checkpoint_every", "views")
        zero = (
            *("epochs", "skip_frames", "seed", "lr", "bootstrap_lr", "weight_decay"),
            *("bootstrap_weight", "near_frames", "far_frames"),
        )
        least = {**dict.fromkeys(one, 1), **dict.fromkeys(zero, 0), "num_workers": -1}
        for name, lowest in least.items():
            if not lowest <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}; it must be finite and at least {lowest}")
            if getattr(self, name) >= 2**63:  # which torch cannot hold
                raise ValueError(f"{name} is {getattr(self, name)}; it must be below 2**63")
        if not 0 <= self.hide_parts < 1:
            raise ValueError(f"hide_parts is {self.hide_parts}; it must be from 0 to below 1")
        if not 0 < self.hoa_frames <= 1:
            raise ValueError(f"hoa_frames is {self.hoa_frames}; it must be above 0 and at most 1")
        if any(epoch < 1 for epoch in self.lr_milestones):
            raise ValueError(f"lr_milestones are {self.lr_milestones}; they must be at least 1")
        choices = {
            "lr_schedule": ("steps", "cosine"),
            "loss": ("normalised", "paper"),
            "precision": ("auto", "float32", "bfloat16"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(known)}")


@dataclass(frozen=True)
class CustomConfig(FeatureConfig, CleaningConfig):
    """Settings of recordings of one's own."""

    fps: float = 0
    """frames per second; 0: as the files say, if they do"""
    individuals: int = 0
    """animals in a recording, where the tracker has broken tracks into fragments; 0: each track is an animal"""
    segments: str | None = None
    """CSV file with the columns recording, start and end: these parts alone are trained on, or embedded"""
    hoa_window_s: float = 0
    """seconds to come that are predicted; 0: hoa_window frames"""
    format: Literal["auto", "arrays", "csv", "parquet", "hdf5", "npz"] = "auto"
    """of embeddings: one .npz with the arrays of all recordings, or a file for each; auto: arrays of .npy and .npz
    files, else csv"""

    def __post_init__(self):
        FeatureConfig.__post_init__(self)
        CleaningConfig.__post_init__(self)
        for name in ("fps", "individuals", "hoa_window_s"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}; it must be finite and at least 0")
