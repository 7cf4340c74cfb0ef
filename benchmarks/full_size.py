"""Time and memory of each stage from raw files to a submission, for mice and flies of MABe 2022 at full size.

    python -m benchmarks.full_size --data_root FOLDER               needs 40 GB there; files are made on first use
    python -m benchmarks.full_size --data_root FOLDER --groups mice --tracks 1000 2000 4000 8000

The real scripts run as child processes. Memory is that of anonymous and shared pages of a process and its workers.
Pages of mapped files are not counted, as the system can take them back.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bams import checkpoint
from bams.app.mabe import Group
from bams.mabe.simulated import clip_ids
from bams.storage import files
from fruit_flies import FLIES
from mouse_triplets import MICE

ROOT = Path(__file__).parents[1]
HEADS = ("first start", "second start", "step", "epoch", "its memory", "embedding", "its memory")


class Size(NamedTuple):
    """Size of the real files: clips for training and test, frames of a clip."""

    group: Group
    script: str
    train: int
    test: int
    frames: int


SIZES = {
    "mice": Size(MICE, "mouse_triplets.py", 1600, 3736, 1800),
    "flies": Size(FLIES, "fruit_flies.py", 426, 543, 4500),
}


class Stage(NamedTuple):
    """Seconds until training began (None = nothing was trained), seconds in all, and peak memory in GiB."""

    ready: float | None
    seconds: float
    peak: float


def make_files(folder: Path, size: Size, tracks: int | None) -> None:
    """Write sequences files like the real ones: smooth random tracks, and some empty slots of flies.

    Without `tracks` both have the real size; else the training file has so many tracks, and the test file a few clips.
    """
    few = None if tracks is None else (-(-tracks // size.group.individuals), 8)
    for name, clips in zip((size.group.train_file, size.group.test_file), few or (size.train, size.test), strict=True):
        if not (folder / name).exists():
            rng = np.random.default_rng(clips)
            some = [_smooth(rng, size) for _ in range(8)]
            print(f"making {folder / name}", file=sys.stderr)
            sequences = {
                clip: {"keypoints": _as_in_files(some[i % 8] + np.float32(i % 97), size, rng)}
                for i, clip in enumerate(clip_ids(clips, clips))
            }
            files.write_pickled_dict(folder / name, {"sequences": sequences})


def _smooth(rng: np.random.Generator, size: Size) -> np.ndarray:
    """Keypoints (T, A, K, 2) of animals that wander in an arena."""
    individuals, count = size.group.individuals, size.group.keypoints
    body = rng.normal(0, 15, (individuals, count, 2))
    way = rng.normal(0, 2, (size.frames, individuals, 1, 2)).cumsum(axis=0) + rng.uniform(100, 700, (individuals, 1, 2))
    return (way + body + rng.normal(0, 0.5, (size.frames, individuals, count, 2))).astype(np.float32)


def _as_in_files(clip: np.ndarray, size: Size, rng: np.random.Generator) -> np.ndarray:
    """Whole px if two zeros mean missing; else float32, NaN = missing, and one slot may be empty."""
    if size.group.zero_missing:
        return np.rint(np.abs(clip)).astype(np.int64)
    if rng.random() < 0.5:
        clip[:, -1] = np.nan
    return clip


def run(script: str, *options: str, begun: Path | None = None, stop_after: float = 0) -> Stage:
    """Run a script of the repository, and interrupt it `stop_after` seconds after the folder `begun` appears."""
    environment = {**os.environ, "TQDM_DISABLE": "1"}
    command = [sys.executable, str(ROOT / script), *options]
    started, ready, peak = time.perf_counter(), None, 0.0
    with tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=environment)
        while child.poll() is None:
            time.sleep(0.1)
            peak = max(peak, memory(child.pid))
            if begun is not None and ready is None and begun.exists():
                ready = time.perf_counter() - started
            if ready and time.perf_counter() - started > ready + stop_after:
                child.send_signal(signal.SIGINT)
                child.wait()
        if child.returncode not in (0, 128 + signal.SIGINT):
            said.seek(0)
            raise RuntimeError(f"{' '.join(command)} has failed: {said.read()[-2000:]}")
    return Stage(ready, time.perf_counter() - started, peak)


def memory(process: int) -> float:
    """GiB of anonymous and shared memory of a process and its children."""
    total = 0.0
    try:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith(("RssAnon", "RssShmem")):
                total += int(line.split()[1]) / 2**20
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:  # the process has just ended
        return total
    return total + sum(memory(int(child)) for child in children)


def measure(name: str, root: Path, tracks: int | None, seconds: float) -> tuple[dict[str, Stage], float, int]:
    """Run all stages of one group; also return seconds per step and steps per epoch."""
    size, folder = SIZES[name], files.make_folder(root / (name if tracks is None else f"{name}-{tracks}"))
    make_files(folder, size, tracks)
    shutil.rmtree(folder / "cache", ignore_errors=True)
    data = ("--data_root", str(folder))
    stages, path, curves = {}, folder / "m.pt", folder / "runs" / "m"
    for start in ("first", "second"):
        path.unlink(missing_ok=True)
        shutil.rmtree(curves, ignore_errors=True)
        options = (*data, "--log_dir", str(folder / "runs"), "--ckpt_path", str(path))
        stages[f"{start} start"] = run(size.script, *options, begun=curves, stop_after=seconds)
    stages["embedding"] = run(size.script, *data, "--job", "compute_representations", "--ckpt_path", str(path))
    trained = checkpoint.load(path)
    batch = trained.settings["batch_size"]
    step = batch * trained.settings["sequence_length"] / frames_per_second(curves)
    return stages, step, -(-trained.progress["windows"] // batch)


def frames_per_second(run: Path) -> float:
    """Median over the logged steps of a run without the first, which is slow."""
    curves = EventAccumulator(str(run)).Reload()
    values = [point.value for point in curves.Scalars("train/frames_per_second")]
    return float(np.median(values[1:] or values))


def row(title: str, stages: dict[str, Stage], step: float, steps: int) -> str:
    """A line of the table."""
    first, second, embedding = stages.values()
    cells = (
        *(f"{first.ready:.0f} s", f"{second.ready:.0f} s", f"{step:.2f} s", f"{steps * step / 60:.1f} min"),
        *(f"{max(first.peak, second.peak):.2f} GiB", f"{embedding.seconds:.0f} s", f"{embedding.peak:.2f} GiB"),
    )
    return f"{title:18s}" + "".join(f"{cell:>14s}" for cell in cells)


def main() -> None:
    """Read the command line, measure, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_root", type=Path, required=True)
    parser.add_argument("--groups", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument(
        "--tracks", type=int, nargs="+", default=[None], help="numbers of training tracks; full size by default"
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="seconds of training in each start")
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    args = parser.parse_args()
    found = {}
    print(f"{'':18s}" + "".join(f"{head:>14s}" for head in HEADS))
    for name in args.groups:
        for tracks in args.tracks:
            title = f"{name}, {tracks or 'full size'}"
            stages, step, steps = measure(name, args.data_root, tracks, args.seconds)
            print(row(title, stages, step, steps), flush=True)
            found[title] = {label: stage._asdict() for label, stage in stages.items()} | {"step": step}
    if args.output:
        files.write_text(args.output, json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
