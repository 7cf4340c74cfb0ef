"""Linear read-outs of the causes of simulated behaviour: from the raw input, random weights and trained weights.

    python -m benchmarks.simulated_mice --ckpt_path X.pt --data_root FOLDER     one trained model
    python -m benchmarks.simulated_mice --seeds 0 1 2                           trains, with the ablation

With --seeds, models are trained to predict the histogram of future actions or, as the released code of the paper does,
the bin of the current frame, with the same data and steps. 20 minutes on 2 cores.
"""

import argparse
import tempfile
import warnings
from pathlib import Path

import numpy as np
from sklearn.model_selection import GroupKFold
from tqdm import tqdm

from bams import BAMS, TrainConfig, checkpoint, plots, simulate, train
from bams.app import mabe as mabe_jobs
from bams.checkpoint import Checkpoint
from bams.data import KeypointsDataset
from bams.embed.offline import embed_tracks
from bams.mabe.simulated import simulate_mouse_files
from bams.readout.baselines import moving_mean, random_weights
from bams.readout.linear_eval import train_linear_classifier
from bams.simulate.mice import FPS
from bams.storage import files
from bams.training.run import new_model
from mouse_triplets import MICE

CAUSES = ("action", "mode", "strain", "lights")
FIRST_FRAME, EVERY = 60, 15  # frames that are read out
STEPS = {"epochs": 12, "batch_size": 8, "skip_frames": 60, "lr_milestones": (10,), "log_every_step": 50}
SEQUENCE_LENGTH, CLIPS = 600, 60


def read_causes(root: Path) -> dict[str, np.ndarray]:
    """The four causes and the number of the clip, (rows,) int, for each mouse and read-out frame of the test clips."""
    causes = files.read_arrays(root / "mouse_triplet_test_causes.npz")
    clips, mice, frames = causes["actions"].shape
    whole = np.broadcast_to(np.arange(clips)[:, None, None], (clips, mice, frames))
    tables = {
        "action": causes["actions"],
        "mode": causes["modes"],
        "strain": causes["strain"][whole],
        "lights": causes["lights"][whole],
        "clip": whole,
    }
    return {name: table[..., FIRST_FRAME::EVERY].ravel() for name, table in tables.items()}


def embed(model: BAMS, tracks: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Embeddings of the read-out frames, (rows, C): short, long and both."""
    parts = [
        {name: emb[FIRST_FRAME::EVERY] for name, emb in embs.items()}
        for embs in tqdm(embed_tracks(model, tracks), "embedding", total=len(tracks), leave=False)
    ]
    short, long = (np.concatenate([part[name] for part in parts]) for name in ("short_term", "long_term"))
    return {"short": short, "long": long, "both": np.concatenate([short, long], axis=1)}


def raw_rows(tracks: list[np.ndarray]) -> np.ndarray:
    """The input of each read-out frame joined with its mean over the last second."""
    rows = (np.concatenate([track, moving_mean(track, FPS)], axis=1) for track in tracks)
    return np.concatenate([row[FIRST_FRAME::EVERY] for row in rows])


def read_out(rows: np.ndarray, causes: dict[str, np.ndarray]) -> dict[str, float]:
    """Macro F1 on held-out clips by cause: the mean of 5 folds."""
    scores = {}
    for cause in CAUSES:
        classes = causes[cause]
        folds = GroupKFold(5, shuffle=True, random_state=0).split(rows, classes, causes["clip"])
        found = [train_linear_classifier((rows[a], classes[a]), (rows[b], classes[b])) for a, b in folds]
        scores[cause] = float(np.mean([read.scores["macro F1"] for read in found]))
    return scores


def table(rows: dict[str, list[dict[str, float]]]) -> str:
    """Text: a row per input and a column per cause, with the mean and, for several seeds, the standard deviation."""
    lines = [f"{'macro F1, clips held out':26s}" + "".join(f"{name:>16s}" for name in CAUSES)]
    for name, scores in rows.items():
        cells = []
        for cause in CAUSES:
            values = np.array([score[cause] for score in scores])
            spread = f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else ""
            cells.append(f"{f'{values.mean():.3f}{spread}':>16s}")
        lines.append(f"{name:26s}" + "".join(cells))
    return "\n".join(lines)


def score_checkpoint(trained: Checkpoint, root: Path, figure: str | None) -> None:
    """Print the table of one model, and draw its latents."""
    tracks, causes = test_tracks(trained, root), read_causes(root)
    embs = embed(trained.model, tracks)
    tables = {"raw, with 1 s mean": raw_rows(tracks)}
    untrained = embed(random_weights(trained.model), tracks)
    tables |= {f"random weights, {name}": emb for name, emb in untrained.items()}
    tables |= {f"trained, {name}": emb for name, emb in embs.items()}
    print(table({row: [read_out(features, causes)] for row, features in tables.items()}))
    if figure:
        drawn = plots.plot_latents(
            {"short term": embs["short"], "long term": embs["long"]},
            {"action": (causes["action"], simulate.ACTIONS), "strain": (causes["strain"], ("A", "B"))},
        )
        with files.atomic_write(figure) as file:
            drawn.savefig(file, dpi=110, format="png")


def test_tracks(trained: Checkpoint, root: Path) -> list[np.ndarray]:
    """Inputs of all mice of the test clips, (T, F) each, made as in training."""
    _, clips = mabe_jobs.load_clips(MICE, root / MICE.test_file)
    dataset = KeypointsDataset.of_recordings(clips, config=MICE.features, statistics=trained.statistics)
    return [dataset.track_input(i) for i in range(dataset.n_tracks)]


def train_model(root: Path, seed: int, target: str) -> Checkpoint:
    """Train on the training clips; the target is 'future' or 'current frame'."""
    _, clips = mabe_jobs.load_clips(MICE, root / MICE.train_file)
    config = TrainConfig(**STEPS, seed=seed, hoa_window=30 if target == "future" else 1)
    dataset = KeypointsDataset.of_recordings(clips, config=MICE.features, sequence_length=SEQUENCE_LENGTH)
    if target == "current frame":
        # the target is the next frame alone; shifting the actions by one frame makes it the current frame
        dataset.actions = np.roll(dataset.actions, 1, axis=0)
        dataset.valid = np.roll(dataset.valid, 1, axis=0)
        dataset.valid[dataset.starts[:-1]] = False
    model = new_model(dataset, MICE.sizes, seed)
    name = f"{target.replace(' ', '-')}-{seed}"
    return train(model, dataset, config, ckpt_path=root / f"{name}.pt", log_dir=root / "runs" / name)


def compare_targets(root: Path, seeds: list[int]) -> None:
    """Train with both targets and all seeds, and print the table."""
    simulate_mouse_files(root, CLIPS)
    causes = read_causes(root)
    rows: dict[str, list[dict[str, float]]] = {}
    for seed in seeds:
        for target in ("future", "current frame"):
            trained = train_model(root, seed, target)
            tracks = test_tracks(trained, root)
            tables = {} if rows else {"raw, with 1 s mean": raw_rows(tracks)}
            if target == "future":
                untrained = embed(random_weights(trained.model, seed), tracks)
                tables |= {f"random weights, {name}": emb for name, emb in untrained.items()}
            tables |= {f"{target}, {name}": emb for name, emb in embed(trained.model, tracks).items()}
            for row, features in tables.items():
                rows.setdefault(row, []).append(read_out(features, causes))
    print(table(rows))


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ckpt_path", help="score this trained model")
    parser.add_argument("--data_root", type=Path, help="folder of simulated files (a temporary one with --seeds)")
    parser.add_argument("--figure", help="write the latents of this model to this PNG")
    parser.add_argument("--seeds", type=int, nargs="+", help="train with these seeds and compare the targets")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", module="sklearn")
    if args.seeds:
        with tempfile.TemporaryDirectory() as folder:
            compare_targets(args.data_root or Path(folder), args.seeds)
    elif args.ckpt_path and args.data_root:
        score_checkpoint(checkpoint.load(args.ckpt_path), args.data_root, args.figure)
    else:
        parser.error("give --ckpt_path and --data_root, or --seeds")


if __name__ == "__main__":
    main()
