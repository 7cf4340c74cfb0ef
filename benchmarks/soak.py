"""Does memory stay constant in a long run? Thousands of short epochs, with checkpoints and read-outs.

    python -m benchmarks.soak --epochs 2000

Trains on a few simulated mice in this process. Resident memory and open files are recorded after each epoch. The slope
of a straight line through them, without the first quarter, is printed. TensorBoard's own reader reads the curves while
they grow.
"""

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from bams import simulate
from bams.app import labelled
from bams.data.keypoints import KeypointsDataset
from bams.embedder.defaults import sizes
from bams.features.config import FeatureConfig
from bams.models.bams import BAMS
from bams.training.config import TrainConfig
from bams.training.loop import train
from bams.training.run import new_model

READ_OUT_EVERY, CURVES_EVERY = 50, 250  # epochs between read-outs, and between readings of the curves
READER = """
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
curves = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0})
print(len(curves.Reload().Scalars("train/total_loss")))
"""
# limits of a flat line: the allocator varies by some MiB, and keeping one batch per epoch would add 60 MiB each
STEADY_MEMORY = 10.0  # KiB per epoch
STEADY_FILES = 1e-3  # per epoch


@dataclass
class Soak:
    """Records of a run.

    Attributes:
        memory: resident memory after each epoch, KiB.
        open_files: number of open files after each epoch.
        points: number of points of the loss curve each time that it was read.
    """

    memory: list[float] = field(default_factory=list)
    open_files: list[int] = field(default_factory=list)
    points: list[int] = field(default_factory=list)

    def slopes(self) -> tuple[float, float]:
        """Growth of memory (KiB) and of open files per epoch."""
        first = len(self.memory) // 4
        epochs = np.arange(first, len(self.memory))
        return tuple(float(np.polyfit(epochs, values[first:], 1)[0]) for values in (self.memory, self.open_files))

    def wrong(self) -> list[str]:
        """Sentences about all that grows, or an empty list."""
        memory, open_files = self.slopes()
        found = []
        if memory > STEADY_MEMORY:
            found.append(f"memory grows by {memory:.2f} KiB per epoch")
        if abs(open_files) > STEADY_FILES:
            found.append(f"open files grow by {open_files:.4f} per epoch")
        if self.points != sorted(set(self.points)) or not self.points:
            found.append(f"the curves had {self.points} points")
        return found


def run(epochs: int, folder: Path) -> Soak:
    """Train for `epochs` epochs of two steps, with a checkpoint after each and a read-out after some."""
    mice = simulate.simulate_mice(4, frames=120, seed=0)
    dataset = KeypointsDataset(
        mice.keypoints.reshape(-1, *mice.keypoints.shape[2:]),
        individuals=[mice.keypoints.shape[1]] * len(mice.keypoints),
        config=FeatureConfig(),
        sequence_length=60,
        annotations={"action": mice.actions.reshape(-1, mice.actions.shape[-1]).astype(int)},
        eval_utils={"classification_tags": ["action"]},
    )
    noted = Soak()

    def evaluate(model: BAMS, epoch: int) -> tuple[dict, dict]:
        noted.memory.append(_resident())
        noted.open_files.append(len(os.listdir("/proc/self/fd")))
        if epoch % CURVES_EVERY == 0:  # in another process, like TensorBoard
            command = [sys.executable, "-c", READER, str(folder / "runs")]
            noted.points.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
        if epoch % READ_OUT_EVERY:
            return {}, {}
        return labelled.to_log(labelled.evaluate_model(model, dataset, baselines=False, folds=2))

    half = -(-len(dataset) // 2)
    config = TrainConfig(epochs=epochs, batch_size=half, log_every_step=1, skip_frames=10, precision="float32")
    model = new_model(dataset, sizes(pooled=True), seed=0)
    train(model, dataset, config, ckpt_path=folder / "model.pt", log_dir=folder / "runs", evaluate=evaluate)
    return noted


def _resident() -> float:
    """Anonymous resident memory of this process, KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("RssAnon")))


def main() -> None:
    """Read the command line, train, and print the records."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=2000)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        noted = run(args.epochs, Path(folder))
    memory, open_files = noted.slopes()
    print(f"{args.epochs} epochs, {noted.memory[-1] / 1024:.0f} MiB and {noted.open_files[-1]} open files at the end")
    print(f"slopes: {memory:+.3f} KiB and {open_files:+.5f} open files per epoch")
    print(f"curves read while they grew: {noted.points[0]} to {noted.points[-1]} points")
    print("; ".join(noted.wrong()) or "flat")


if __name__ == "__main__":
    main()
