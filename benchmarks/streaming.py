"""Time to embed one frame of simulated mice, frame by frame on one core.

    OMP_NUM_THREADS=1 python -m benchmarks.streaming [--frames 3000]

Uses networks and features of mouse_triplets.py and custom_dataset.py, with random weights. Prints median and 99th
percentile in milliseconds, frames per second, and the largest difference from embedding the whole recording.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

import mouse_triplets
from bams import StreamingEncoder, simulate
from bams.checkpoint import Checkpoint
from bams.data.dataset import Dataset
from bams.embed.offline import embed_recording
from bams.embedder.defaults import sizes
from bams.features.columns import Features
from bams.features.config import FeatureConfig
from bams.features.recording import recording_features
from bams.statistics import known_inputs
from bams.training.run import new_model

MakeFeatures = Callable[[np.ndarray], Features]
WARM_UP = 100  # frames
MODELS = {
    "mouse_triplets.py": (mouse_triplets.features, mouse_triplets.SIZES),
    "custom_dataset.py": (partial(recording_features, source=FeatureConfig()), sizes(pooled=True)),
}


def main() -> None:
    """Read the command line, simulate mice, and print the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--individuals", type=int, nargs="+", default=[3, 1])
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'network of':20s}mice{'a frame':>14s}{'its features':>14s}{'the rest':>14s}  per second  difference")
    for name, (features, network) in MODELS.items():
        for individuals in args.individuals:
            mice = simulate.simulate_mice(1, frames=args.frames, individuals=individuals).keypoints[0]
            trained = make_checkpoint(mice, features, network)
            seconds, embs = stream(trained, features, mice)
            times = "".join(f"{np.median(part):8.2f}{np.percentile(part, 99):6.2f}" for part in 1000 * seconds)
            far = difference(trained, features, mice, embs)
            print(f"{name:20s}{individuals:4d}{times}{1 / seconds[0].mean():12.0f}{far:12.0e}", flush=True)


def make_checkpoint(mice: np.ndarray, features: MakeFeatures, network: dict) -> Checkpoint:
    """A network with random weights for these features, which scales them."""
    found = features(mice)
    dataset = Dataset(*found[:3])
    model = new_model(dataset, network, 0).eval()
    model.scale.set(*map(torch.from_numpy, (dataset.statistics.centre, dataset.statistics.scale)))
    return Checkpoint(model, "simulated", dataset.statistics, np.ones(1), {"inputs": list(found.input_names)})


def stream(trained: Checkpoint, features: MakeFeatures, mice: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Seconds (3, frames after the warm-up): in all, for the features, for the rest; and the embeddings (A, T, C)."""
    of_features, of_all, found = [], [], []

    def timed(frames: np.ndarray) -> Features:
        begun = time.perf_counter()
        made = features(frames)
        of_features.append(time.perf_counter() - begun)
        return made

    encoder = StreamingEncoder(trained, timed)
    for frame in np.moveaxis(mice, 1, 0):
        begun = time.perf_counter()
        found.append(encoder.embed(frame))
        of_all.append(time.perf_counter() - begun)
    seconds = np.array([of_all, of_features, np.subtract(of_all, of_features)])[:, WARM_UP:]
    return seconds, {name: np.stack([embs[name] for embs in found], axis=1) for name in found[0]}


def difference(trained: Checkpoint, features: MakeFeatures, mice: np.ndarray, embs: dict[str, np.ndarray]) -> float:
    """The largest difference from the embeddings of the whole recording."""

    def make_inputs(part: np.ndarray) -> np.ndarray:
        return known_inputs(features(part).inputs, trained.statistics)

    blocks = embed_recording(trained.model, mice, make_inputs)
    return max(np.abs(embs[name][:, span] - emb).max() for span, whole in blocks for name, emb in whole.items())


if __name__ == "__main__":
    main()
