"""How well labels can be read out of embeddings, compared with hand-made features and with changed settings.

    python -m benchmarks.readout --data ../shared/data/rat_social.npz
    python -m benchmarks.readout --data mice --rows "the recipe"

Every network is trained without labels and read out by the protocol of benchmarks/yardstick.py. Each finished row is
a JSON file in the results folder and is not run again, so a benchmark can be stopped and continued. At the end all
finished rows are printed, and written as a table and a figure.
"""

import argparse
import json
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from bams import losses
from bams.data.keypoints import KeypointsDataset
from bams.embed.offline import embed_tracks
from bams.embedder.defaults import CHANNELS, DEFAULTS, sizes
from bams.features.config import FeatureConfig
from bams.models.bams import BAMS
from bams.readout.baselines import random_weights
from bams.storage import files
from bams.training.config import TrainConfig
from bams.training.loop import train, validate
from bams.training.run import new_model
from benchmarks import readout_report
from benchmarks.readout_report import RECIPE, SHORT_RECIPE
from benchmarks.yardstick import WINDOW, Yardstick, hand_made, load, principal_components, score

ROUND = 250  # steps of an ablation, and between the points of the recipe's curve
ROUNDS = 6  # of the recipe

# what each row changes in the recipe, which are the defaults of custom_dataset.py
ABLATIONS: dict[str, dict[str, Any]] = {
    SHORT_RECIPE: {},
    "raw coordinates, each animal alone": {"features": "raw", "predict": ("movement",)},
    "no other animal": {"others": 0},
    "predict movement alone": {"predict": ("movement",)},
    "predict approach, not distances": {"predict": ("movement", "approach")},
    "predict lengths and what is observed too": {"predict": ("movement", "lengths", "observed", "distances")},
    "window of 60 frames": {"hoa_window": 60},
    "no bootstrap": {"bootstrap_weight": 0.0},
    "views of the paper": {"views": 1, "near_frames": 5, "far_frames": 0},
    "no hidden parts": {"hide_parts": 0.0},
    "loss and start of the paper": {"loss": "paper"},
    "constant learning rate": {"lr_schedule": "steps", "lr_milestones": ()},
    "no loss in the first 100 frames": {"skip_frames": 100},
    "float32, every frame predicted": {"precision": "float32", "hoa_frames": 1.0},
}


def make_dataset(yardstick: Yardstick, changes: dict[str, Any]) -> KeypointsDataset:
    """The tracks of all recordings, with the features of the recipe and these changes."""
    asked = FeatureConfig(**_of(FeatureConfig, changes))
    return KeypointsDataset(
        [track for recording in yardstick.recordings for track in recording],
        individuals=[len(recording) for recording in yardstick.recordings],
        config=replace(asked, others=min(asked.others, max(map(len, yardstick.recordings)) - 1)),
        sequence_length=WINDOW,
    )


def embed(model: BAMS, dataset: KeypointsDataset, yardstick: Yardstick) -> dict[str, list[np.ndarray]]:
    """Embed window by window; by encoder, and for `both` joined, (A, scored frames, C) of each recording."""
    owner = np.repeat(np.arange(len(dataset.individuals)), dataset.individuals)
    windows = [
        dataset.track_input(track)[number * WINDOW : (number + 1) * WINDOW]
        for track, recording in enumerate(owner)
        for number in range(yardstick.windows[recording])
    ]
    embedded = embed_tracks(model, windows)
    found: dict[str, list[np.ndarray]] = {}
    for recording, tracks in enumerate(dataset.individuals):
        count = yardstick.windows[recording]
        parts = [next(embedded) for _ in range(tracks * count)]
        for name, encoder in model.encoders.items():
            size = encoder.output_size
            rows = np.reshape([part[name] for part in parts], (tracks, count * WINDOW, size))
            found.setdefault(name, []).append(yardstick.cut(rows, recording))
    next(embedded, None)  # the end of the iteration puts the model back into training mode
    both = [np.concatenate(rows, axis=-1) for rows in zip(*found.values(), strict=True)]
    return {**found, "both": both}


def scores_of(yardstick: Yardstick, channels: list[np.ndarray]) -> dict[str, Any]:
    """By task, the width and the scores on all recordings, on the first half (choose) and on the second (confirm)."""
    count = len(yardstick.recordings)
    halves = {"all": range(count), "choose": range(count // 2), "confirm": range(count // 2, count)}
    if count < 20:
        halves = {"all": range(count)}
    found: dict[str, Any] = {}
    for task in yardstick.tasks:
        if task.labels[0].ndim == 2 and len(channels[0]) == 1 != len(yardstick.recordings[0]):
            continue  # features of whole recordings cannot give a label of each individual
        features, classes, group = yardstick.table(task, channels)
        found[task.name] = {"width": features.shape[1]} | {
            part: score(features, classes, group, recordings, len(task.classes))._asdict()
            for part, recordings in halves.items()
        }
    return found


def train_row(yardstick: Yardstick, changes: dict[str, Any], seed: int, rounds: int) -> dict[str, Any]:
    """Train without labels; return scores of each encoder and of both, the curve, minutes of training and HoA skill."""
    dataset = make_dataset(yardstick, changes)
    defaults = {name: value for name, value in DEFAULTS.items() if name != "sequence_length"}
    settings = {**defaults, **_of(TrainConfig, changes), "seed": seed, "epochs": rounds, "batch_size": 32}
    config = TrainConfig(**settings, checkpoint_every=rounds)
    model = new_model(dataset, sizes(pooled=max(dataset.individuals) > 1), seed)
    curve = []
    if rounds > 1:
        untrained = random_weights(model, seed)
        untrained.scale.set(*map(torch.from_numpy, (dataset.statistics.centre, dataset.statistics.scale)))
        both = embed(untrained, dataset, yardstick)["both"]
        curve.append({"step": 0, "scores": scores_of(yardstick, both)})
    spent, begun = 0.0, time.perf_counter()

    def evaluate(model: BAMS, done: int) -> tuple[dict, dict]:
        nonlocal spent, begun
        spent += time.perf_counter() - begun
        if done < rounds:
            both = embed(model, dataset, yardstick)["both"]
            curve.append({"step": done * ROUND, "scores": scores_of(yardstick, both)})
        begun = time.perf_counter()
        return {}, {}

    windows = tiled(dataset, ROUND * config.batch_size, seed)
    with tempfile.TemporaryDirectory() as folder:
        paths = {"ckpt_path": Path(folder) / "model.pt", "log_dir": Path(folder) / "runs"}
        trained = train(model, windows, config, evaluate=evaluate, **paths)
    hoa = losses.HoALoss(
        dataset.statistics.bins, config.hoa_window, config.skip_frames, torch.from_numpy(trained.marginal_loss)
    )
    some = torch.utils.data.Subset(dataset, range(0, len(dataset), 10))
    skill = validate(trained.model, some, hoa, config, torch.device("cpu"))["hoa_skill"]
    scores = {
        name: scores_of(yardstick, channels) for name, channels in embed(trained.model, dataset, yardstick).items()
    }
    curve.append({"step": rounds * ROUND, "scores": scores["both"]})
    return {"scores": scores, "curve": curve, "minutes": spent / 60, "skill": skill, "settings": asdict(config)}


def tiled(dataset: KeypointsDataset, count: int, seed: int) -> torch.utils.data.Subset:
    """`count` windows of the data set in random order; no window comes again before all others have come."""
    rng = np.random.default_rng(seed)
    rounds = [rng.permutation(len(dataset)) for _ in range(-(-count // len(dataset)))]
    chosen = torch.utils.data.Subset(dataset, np.concatenate(rounds)[:count].tolist())
    chosen.statistics = dataset.statistics
    return chosen


def hand_made_rows(yardstick: Yardstick) -> dict[str, Any]:
    """Scores of the features without a network, by row."""
    rows = hand_made(yardstick, tqdm)
    last = list(rows)[-1]
    rows[f"PCA of these to {CHANNELS}"] = principal_components(rows[last], CHANNELS)
    return {name: scores_of(yardstick, channels) for name, channels in rows.items()}


def finish(path: Path, make: Callable[[], dict[str, Any]]) -> None:
    """Make a row unless its file exists."""
    if not path.exists():
        files.write_text(path, json.dumps(make(), indent=1))


def _of(cls: type, changes: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(cls)}
    return {name: value for name, value in changes.items() if name in names}


def main() -> None:
    """Read the command line, run all unfinished rows, and write the table and the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="mice", help="mice (simulated), rat_social.npz or gesture_phase.npz")
    parser.add_argument("--results", type=Path, default=Path("runs/readout"), help="folder of finished rows")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", nargs="*", default=[RECIPE, *ABLATIONS], choices=[RECIPE, *ABLATIONS])
    args = parser.parse_args()
    warnings.filterwarnings("ignore", module="sklearn")
    yardstick = load(args.data)
    folder = args.results / yardstick.name
    folder.mkdir(parents=True, exist_ok=True)
    finish(folder / "by hand.json", partial(hand_made_rows, yardstick))
    for seed in args.seeds:
        for row in args.rows:
            rounds = ROUNDS if row == RECIPE else 1
            print(f"{row}, seed {seed}")
            changes = ABLATIONS.get(row, {})
            finish(folder / f"{row}-{seed}.json", partial(train_row, yardstick, changes, seed, rounds))
    print(readout_report.write(folder, yardstick))


if __name__ == "__main__":
    main()
