"""Time of a training step and of its parts, compared with the arithmetic that the machine can do.

    python -m benchmarks.throughput                       mice and flies, and a plain float32 implementation
    python -m benchmarks.throughput --groups mice --precision float32 --hoa_frames 1

Times are medians after a warm-up. Compare ratios of one run, as times differ between machines.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bams import losses
from bams.compute.devices import keeping_freed_memory, pick_device, pick_precision
from bams.data.dataset import Dataset
from bams.embed.offline import embed_tracks
from bams.models.bams import BAMS
from bams.storage import files
from bams.training.batches import load_batches, place_if_it_fits
from bams.training.config import TrainConfig
from bams.training.run import begin, new_model
from bams.training.step import TrainingStep
from benchmarks.plain import PlainModel, plain_histogram, plain_loss
from fruit_flies import FLIES
from mouse_triplets import MICE

GROUPS = {"mice": (MICE, 1800), "flies": (FLIES, 4500)}
EMBEDDED = 8  # tracks
BACKWARD = 2  # arithmetic of a backward pass, in forward passes


def made_up(group: str, tracks: int) -> Dataset:
    """Random smooth tracks with the features and the length of the group."""
    found, frames = GROUPS[group]
    rng = np.random.default_rng(0)
    clips = -(-tracks // found.individuals)
    shape = (found.individuals, frames, found.keypoints, 2)
    features = [found.features(_smooth(rng, shape)) for _ in range(clips)]
    inputs, actions, valid = (
        [track for block in kind for track in block] for kind in zip(*(made[:3] for made in features), strict=True)
    )
    return Dataset(inputs[:tracks], actions[:tracks], valid[:tracks])


def _smooth(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Keypoints (A, T, K, d) on random walks."""
    steps = rng.normal(size=shape).astype(np.float32)
    return np.cumsum(steps, axis=1) + 50 * rng.normal(size=(shape[0], 1, *shape[2:])).astype(np.float32)


def arithmetic(model: BAMS, tracks: int, frames: int, config: TrainConfig) -> dict[str, float]:
    """Multiplications and additions in the weights of each part during one step, in 1e9."""
    encoders = sum(p.numel() for e in model.encoders.values() for n, p in e.named_parameters() if _is_weight(n))
    predictor = sum(p.numel() for n, p in model.predictor.named_parameters() if _is_weight(n))
    predicted = round(config.hoa_frames * (frames - 1 - config.skip_frames))
    pairs = sum(p.numel() for n, p in model.bootstrap.named_parameters() if p.ndim == 2) * max(config.views, 1)
    each = 2 * (1 + BACKWARD) * tracks / 1e9
    return {
        "encoders": each * encoders * frames,
        "action predictor": each * predictor * predicted,
        "bootstrap": each * pairs,
    }


def _is_weight(name: str) -> bool:
    return name.endswith(("weight", "original1")) and "activation" not in name


def matrix_rates(device: torch.device) -> dict[str, float]:
    """1e9 operations per second, by precision, of matrix products as large as those of the predictor and encoders."""
    rates = {}
    for dtype in (torch.float32, torch.bfloat16):
        seconds, operations = 0.0, 0.0
        for rows, inner, columns in ((14_400, 512, 736), (57_600, 192, 64)):
            one = torch.randn(rows, inner, device=device, dtype=dtype)
            other = torch.randn(inner, columns, device=device, dtype=dtype)
            seconds += median_seconds(lambda a=one, b=other: a @ b, device, 9)
            operations += 2 * rows * inner * columns
        rates[str(dtype).removeprefix("torch.")] = operations / seconds / 1e9
    return rates


def median_seconds(run: Callable[[], Any], device: torch.device, times: int) -> float:
    """Median seconds of a call, after two calls to warm up."""
    found = []
    for i in range(times + 2):
        started = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if i >= 2:
            found.append(time.perf_counter() - started)
    return float(np.median(found))


def measure_step(
    dataset: Dataset, group: str, config: TrainConfig, device: torch.device, steps: int, compiled: bool
) -> dict[str, Any]:
    """Seconds of a whole step and of its parts, each with its backward pass."""
    model = new_model(dataset, GROUPS[group][0].sizes, 0)
    if compiled:
        model.encode, model.predict_actions = map(torch.compile, (model.encode, model.predict_actions))
    run = begin(model, dataset, config)
    training_step = TrainingStep(model, run.hoa, config)
    place_if_it_fits(device, dataset)
    windows = list(range(config.batch_size))
    batch = {name: values.to(device) for name, values in dataset.batch(windows).items()}
    model.train()

    def step() -> None:
        values = training_step(batch, 0, len(windows))
        run.optimizer.zero_grad(set_to_none=True)
        values["total_loss"].backward()
        run.optimizer.step()

    lower = torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16")
    frames = run.hoa.predicted_frames(batch["input"].shape[1], config.hoa_frames).to(device)

    def encode() -> dict[str, Tensor]:
        with lower:
            return model.encode(batch["input"])

    def encoders() -> None:
        sum(emb.float().square().mean() for emb in encode().values()).backward()

    with torch.no_grad():
        embs = {name: emb[:, frames].detach() for name, emb in encode().items()}

    def predictor() -> None:
        with lower:
            logits = model.predict_actions(embs, batch["input"][:, frames])
        run.hoa.scores(run.hoa.sums(logits, batch["actions"], batch["valid"], frames)).loss.backward()

    def target() -> None:
        bins = dataset.statistics.bins
        losses.histogram_of_actions(batch["actions"], batch["valid"], bins=bins, window=30, frames=frames)

    parts = {"encoders": encoders, "action predictor and its loss": predictor, "of that, target": target}
    found = {name: median_seconds(run, device, steps) for name, run in parts.items()}
    found["loading"] = median_seconds(lambda: next(iter(load_batches(dataset, config, [windows]))), device, steps)
    return {
        "step": median_seconds(step, device, steps),
        **found,
        "arithmetic": arithmetic(model, *batch["input"].shape[:2], config),
    }


def measure_plain(dataset: Dataset, group: str, config: TrainConfig, steps: int) -> dict[str, float]:
    """Seconds of a step of the plain implementation, and of building a batch of its targets."""
    sizes = dict(GROUPS[group][0].sizes)
    hidden, bins = sizes.pop("hidden_layers"), dataset.statistics.bins
    model = PlainModel(dataset.input_size, dataset.target_size * bins, sizes, hidden).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    batch = dataset.batch(list(range(config.batch_size)))
    x = (batch["input"] - torch.from_numpy(dataset.statistics.centre)) / torch.from_numpy(dataset.statistics.scale)
    started = time.perf_counter()
    target = torch.from_numpy(np.stack([plain_histogram(item.numpy(), bins, 30) for item in batch["actions"]]))
    loading = time.perf_counter() - started

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        plain_loss(model, x, target, config.skip_frames).backward()
        optimizer.step()

    return {"step": median_seconds(step, torch.device("cpu"), steps) + loading, "loading": loading}


def measure_embedding(dataset: Dataset, group: str, device: torch.device, times: int) -> dict[str, float]:
    """Seconds to embed some tracks, and to run the whole network on them, both in float32."""
    model = new_model(dataset, GROUPS[group][0].sizes, 0).to(device).eval()
    tracks = [dataset.track_input(i) for i in range(EMBEDDED)]

    def whole() -> None:
        with torch.inference_mode():
            for track in tracks:
                model(torch.from_numpy(track[None]).to(device))

    found = {"embedding": lambda: list(embed_tracks(model, tracks, device)), "whole network": whole}
    return {name: median_seconds(run, device, times) for name, run in found.items()}


def measure(group: str, args: argparse.Namespace) -> dict[str, Any]:
    """All figures of one group."""
    device = pick_device(args.device)
    config = TrainConfig(
        batch_size=args.batch, hoa_frames=args.hoa_frames, device=str(device), precision=args.precision
    )
    config = replace(config, precision=pick_precision(config.precision, device))
    dataset = made_up(group, max(args.batch, EMBEDDED))
    found = {"precision": config.precision, "device": str(device), "rates": matrix_rates(device)}
    with keeping_freed_memory(device):
        found |= measure_step(dataset, group, config, device, args.steps, args.compile)
    found |= measure_embedding(dataset, group, device, args.steps)
    found["floor"] = sum(found["arithmetic"].values()) / found["rates"][config.precision]
    found["frames_per_second"] = args.batch * dataset.sequence_length / found["step"]
    found["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if not args.no_plain:
        found["plain"] = measure_plain(dataset, group, config, max(args.steps // 3, 3))
    return found


def table(group: str, found: Mapping[str, Any]) -> str:
    """The figures as text."""
    rates = ", ".join(f"{rate:.0f} GFLOP/s in {name}" for name, rate in found["rates"].items())
    work = ", ".join(f"{name} {part:.0f}" for name, part in found["arithmetic"].items())
    lines = [
        f"{group}, on {found['device']} in {found['precision']}; matrix products: {rates}",
        f"  arithmetic of a step, GFLOP: {work}; floor {found['floor']:.2f} s",
    ]
    for name in ("step", "encoders", "action predictor and its loss", "of that, target", "loading"):
        lines.append(f"  {name:32s}{found[name]:8.3f} s{found[name] / found['step']:8.0%}")
    lines.append(
        f"  {found['frames_per_second']:.0f} frames per second, {found['floor'] / found['step']:.0%} of what the "
        f"floor allows; peak memory so far {found['peak_gib']:.2f} GiB"
    )
    rate, ratio = EMBEDDED * GROUPS[group][1] / found["embedding"], found["whole network"] / found["embedding"]
    lines.append(f"  embedding: {rate:.0f} frames per second in float32, {ratio:.1f} times those of the whole network")
    if "plain" in found:
        plain = found["plain"]["step"]
        lines.append(
            f"  plain float32 implementation: {plain:.3f} s, {plain / found['step']:.1f} times as long "
            f"({found['plain']['loading']:.3f} s of it building targets)"
        )
    return "\n".join(lines)


def main() -> None:
    """Read the command line, measure, print the table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", nargs="+", default=list(GROUPS), choices=list(GROUPS))
    parser.add_argument("--steps", type=int, default=9, help="number of timed steps")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16"])
    parser.add_argument("--hoa_frames", type=float, default=TrainConfig.hoa_frames)
    parser.add_argument("--compile", action="store_true", help="compile the network with torch.compile; takes minutes")
    parser.add_argument("--no_plain", action="store_true", help="leave the plain implementation out")
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    args = parser.parse_args()
    found = {}
    for group in args.groups:
        found[group] = measure(group, args)
        print(table(group, found[group]), flush=True)
    if args.output:
        files.write_text(args.output, json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
