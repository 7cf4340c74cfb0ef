"""The settings that all scripts share; each field is a flag, and its docstring the flag's help."""

from dataclasses import dataclass, field
from typing import Literal

from bams.features.config import FeatureConfig
from bams.recordings.cleaning import CleaningConfig


@dataclass(frozen=True)
class RunConfig:
    """What to do, with which data, and where the results go."""

    job: Literal["train", "compute_representations", "evaluate", "report", "all"] = field(
        default="train", metadata={"kept": False}
    )
    """train a model, embed recordings with a trained one, score the embeddings (of the MABe data and the robots),
    report what recordings of your own are like, or do all that there is to do with these"""
    data_root: str = field(default="", metadata={"kept": False})
    """where the recordings are"""
    ckpt_path: str | None = field(default=None, metadata={"kept": False})
    """the checkpoint: for train the file to write (a dated name in output_dir unless given),
    for compute_representations the file to read"""
    resume: str | None = field(default=None, metadata={"kept": False})
    """checkpoint of an interrupted run to go on from, whose settings hold unless given anew; auto: ckpt_path if it
    is there, else the newest whole checkpoint in output_dir, else a new run"""
    output_dir: str = field(default=".", metadata={"kept": False})
    """folder for checkpoints"""
    log_dir: str = field(default="runs", metadata={"kept": False})
    """folder for TensorBoard files; each run has its own folder in it"""
    cache_path: str | None = field(default=None, metadata={"kept": False})
    """folder to keep features in, as mapped files, so that they need no memory and the next start is quicker;
    unless given nothing is kept, but for mice and flies in data_root/cache"""
    hoa_bins: int = field(default=32, metadata={"fixed": True})
    """Q: bins of the histogram of actions, 2 to 256"""
    sequence_length: int = field(default=1800, metadata={"fixed": True})
    """frames of a training window; longer recordings are cut, and embedded whole"""
    val_share: float = field(default=0.1, metadata={"fixed": True})
    """share of the recordings that is held out to watch the skill on"""
    debug: bool = field(default=False, metadata={"kept": False})
    """show the full traceback of an error"""

    def __post_init__(self):
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
class CustomConfig(FeatureConfig, CleaningConfig):
    """Settings of recordings of one's own."""

    fps: float = 0
    """frames per second; 0: as the files say, if they do"""
    individuals: int = 0
    """animals in a recording, where the tracker has broken tracks into fragments; 0: each track is an animal"""
    segments: str | None = field(default=None, metadata={"kept": False})
    """CSV file with the columns recording, start and end: these parts alone are trained on, or embedded"""
    hoa_window_s: float = 0
    """seconds to come that are predicted; 0: hoa_window frames"""
    format: Literal["auto", "arrays", "csv", "parquet", "hdf5", "npz"] = field(default="auto", metadata={"kept": False})
    """of embeddings: one .npz with the arrays of all recordings, or a file for each; auto: arrays of .npy and .npz
    files, else csv"""

    def __post_init__(self):
        FeatureConfig.__post_init__(self)
        CleaningConfig.__post_init__(self)
        for name in ("fps", "individuals", "hoa_window_s"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}; it must be finite and at least 0")
