"""The training loop: batches, steps, curves, and how a run is interrupted and goes on."""

from bams.training.config import TrainConfig
from bams.training.loop import train

__all__ = ["TrainConfig", "train"]
