"""Cost and skill of predicting the actions at a share of the frames, to choose the default of `--hoa_frames`.

    python -m benchmarks.hoa_frames                     about 6 minutes on 2 cores

Trains on simulated mice with each share for the same number of steps. Prints the median milliseconds per step, their
ratio to predicting at every frame, and the HoA skill on held-out clips.
"""

import argparse
import dataclasses
import statistics
import time

import numpy as np

from bams import TrainConfig, simulate
from bams.data import KeypointsDataset
from bams.data.split import choose_parts
from bams.training.batches import batch_order, load_batches
from bams.training.loop import validate
from bams.training.run import begin, measure_marginal, new_model
from bams.training.step import TrainingStep
from mouse_triplets import MICE

SHARES = (1.0, 0.5, 0.25, 0.1)
SEQUENCE_LENGTH, CLIPS, BATCH = 600, 40, 16


def train_and_score(share: float, seed: int, steps: int) -> tuple[list[float], float]:
    """Seconds of each step, and the skill on held-out clips after the last."""
    config = TrainConfig(batch_size=BATCH, skip_frames=60, hoa_frames=share, seed=seed, lr_milestones=(), device="cpu")
    clips = list(simulate.simulate_mice(CLIPS, seed=seed).keypoints)
    train_set = val_set = None
    for part in choose_parts(clips, config.least_frames, 0.1, seed):
        statistics = train_set.statistics if train_set else None
        made = KeypointsDataset.of_recordings(
            [clips[i] for i in part], config=MICE.features, statistics=statistics, sequence_length=SEQUENCE_LENGTH
        )
        train_set, val_set = train_set or made, made
    model = new_model(train_set, MICE.sizes, seed)
    run = begin(model, train_set, config)
    training_step = TrainingStep(model, run.hoa, config)
    seconds: list[float] = []
    epoch = 0
    while len(seconds) < steps:
        model.train()
        for batch in load_batches(train_set, config, batch_order(train_set, config, epoch)):
            started = time.perf_counter()
            values = training_step(batch, run.step, len(batch["input"]))
            run.optimizer.zero_grad(set_to_none=True)
            values["total_loss"].backward()
            run.optimizer.step()
            seconds.append(time.perf_counter() - started)
            run.step += 1
        epoch += 1
    hoa = dataclasses.replace(run.hoa, marginal=measure_marginal(train_set, val_set, config))
    return seconds, validate(model, val_set, hoa, config, run.device)["hoa_skill"]


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    print(f"{'share of frames':>16s}{'ms per step':>14s}{'ratio':>8s}{'held-out skill':>20s}")
    whole = None
    for share in SHARES:
        runs = [train_and_score(share, seed, args.steps) for seed in args.seeds]
        median = 1000 * statistics.median(second for seconds, _ in runs for second in seconds)
        whole = whole or median
        skills = np.array([skill for _, skill in runs])
        spread = f" ± {skills.std(ddof=1):.3f}" if len(skills) > 1 else ""
        print(f"{share:16.2f}{median:14.0f}{median / whole:8.2f}{f'{skills.mean():.3f}{spread}':>20s}", flush=True)


if __name__ == "__main__":
    main()
