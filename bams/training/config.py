"""The settings of training."""

from dataclasses import dataclass, field, fields
from typing import Literal, get_args, get_origin

COMPUTED = {"jobs": {"train": {}, "compute_representations": {}, "evaluate": {"baselines": True}}}  # of the network
REPORTED = {"fixed": True, "jobs": {"train": {}, "report": {}}}  # the report says which recordings are too short
WINDOW = {"fixed": True, "jobs": {job: {"hoa_window_s": 0} for job in ("train", "report")}}


@dataclass(frozen=True)
class TrainConfig:
    """How to train; every field is a flag of the scripts."""

    epochs: int = 500
    """passes over the training windows; 0: as many as make 1500 steps"""
    batch_size: int = field(default=32, metadata={"fixed": True})
    """windows in a batch"""
    lr: float = 1e-3
    """learning rate of the encoders and the action predictor"""
    bootstrap_lr: float = 1e-2
    """learning rate of the bootstrap predictors"""
    weight_decay: float = 4e-5
    """weight decay of AdamW"""
    lr_schedule: Literal["steps", "cosine"] = "steps"
    """steps: constant between lr_milestones; cosine: rise over the first steps, then fall to nearly 0"""
    lr_milestones: tuple[int, ...] = field(default=(200,), metadata={"jobs": {"train": {"lr_schedule": "steps"}}})
    """epochs at which lr_schedule steps multiplies the learning rates by 0.1"""
    hoa_window: int = field(default=30, metadata=WINDOW)
    """W: number of frames to come that the histogram of actions covers"""
    skip_frames: int = field(default=100, metadata=REPORTED)
    """first frames of a window that give no loss, as the encoders lack context there"""
    hoa_frames: float = 0.25
    """share of the frames at which the action predictor is trained in each step, above 0 and at most 1"""
    hide_parts: float = 0.3
    """probability of hiding an embedding, or the frame's input, from the action predictor, so that each encoder learns
    to predict the actions on its own; 0 as in the paper"""
    loss: Literal["normalised", "paper"] = "normalised"
    """normalised: start at the data-wide histogram, and divide each action's loss by the loss of that histogram;
    paper: the plain mean over actions, weighted by 500, from a random start"""
    bootstrap_weight: float = 0.5
    """weight of each encoder's bootstrap loss"""
    views: int = 1
    """pairs of frames that each bootstrap loss compares, per window and step; at least 32 in a batch"""
    near_frames: int = 5
    """largest distance between the two frames of a near pair"""
    far_frames: int = 0
    """largest distance between the two frames of a far pair; 0: any two frames of the window"""
    seed: int = field(default=0, metadata={"fixed": True})
    """every random draw follows from it"""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """precision of the network in training; auto: bfloat16 where the device has instructions for it. Weights, losses
    and embeddings are always float32"""
    device: str = field(default="auto", metadata=COMPUTED)
    """auto, cpu, cuda, cuda:1, mps, ..."""
    num_workers: int = -1
    """processes that load batches; 0: the training process loads them; -1: up to 4 for a GPU, and 0 for a CPU, which
    other processes would slow down"""
    threads: int = 0
    """threads that compute on the CPU; 0: as many as there are cores that this process may use and others leave free"""
    log_every_step: int = 10
    """steps between points of the training curves"""
    checkpoint_every: int = 1
    """epochs between checkpoints; one is also written at the end and on Ctrl-C"""

    def __post_init__(self):
        for name, least in LEAST.items():
            if not least <= getattr(self, name) < 2**63:  # also refuses NaN
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least {least}, and below 2**63")
        if not 0 <= self.hide_parts < 1:
            raise ValueError(f"hide_parts is {self.hide_parts}; it must be from 0 to below 1")
        if not 0 < self.hoa_frames <= 1:
            raise ValueError(f"hoa_frames is {self.hoa_frames}; it must be above 0 and at most 1")
        if any(epoch < 1 for epoch in self.lr_milestones):
            raise ValueError(f"lr_milestones are {self.lr_milestones}; they must be at least 1")
        for setting in fields(self):
            value, known = getattr(self, setting.name), get_args(setting.type)
            if get_origin(setting.type) is Literal and value not in known:
                raise ValueError(f"{setting.name} is {value!r}; it must be one of {', '.join(known)}")

    @property
    def least_frames(self) -> int:
        """Frames that a recording must have to be trained on."""
        return self.skip_frames + self.hoa_window + 1


LEAST = dict.fromkeys(("batch_size", "hoa_window", "log_every_step", "checkpoint_every", "views"), 1)
LEAST |= dict.fromkeys(("epochs", "skip_frames", "seed", "threads", "near_frames", "far_frames"), 0)
LEAST |= dict.fromkeys(("lr", "bootstrap_lr", "weight_decay", "bootstrap_weight"), 0) | {"num_workers": -1}
