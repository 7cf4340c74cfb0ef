"""Mice and flies of MABe 2022 at full size, from the raw files to a submission: time and memory of each stage.

    python -m benchmarks.full_size --data_root FOLDER               needs 40 GB there; files are made on first use
    python -m benchmarks.full_size --data_root FOLDER --groups mice --share 0.1

The real scripts run as child processes. Memory is what a process and its workers hold for themselves or share
(anonymous and shared pages): pages of mapped files can be given back, and are not counted.
"""

import argparse
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bams import files, mabe
from bams.mabe_jobs import Group
from fruit_flies import FLIES
from mouse_triplets import MICE

ROOT = Path(__file__).parents[1]


class Size(NamedTuple):
    """How large the real files are."""

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
    """Seconds until training began (None where nothing is trained) and until the end, and GiB at most."""

    ready: float | None
    seconds: float
    peak: float


def make_files(folder: Path, size: Size, share: float) -> None:
    """Sequences files of the real size and kind of numbers: smooth random tracks, some slots of flies empty."""
    for name, clips in ((size.group.train_file, size.train), (size.group.test_file, size.test)):
        if not (folder / name).exists():
            rng = np.random.default_rng(clips)
            names = mabe.clip_ids(max(round(share * clips), 4), clips)
            some = [_smooth(rng, size) for _ in range(8)]
            print(f"making {folder / name}", file=sys.stderr)
            sequences = {
                clip: {"keypoints": _as_in_files(some[i % 8] + np.float32(i % 97), size, rng)}
                for i, clip in enumerate(names)
            }
            files.write_pickled_dict(folder / name, {"sequences": sequences})


def _smooth(rng: np.random.Generator, size: Size) -> np.ndarray:
    """Keypoints (T, A, K, 2) of animals that wander in an arena."""
    individuals, count = size.group.individuals, size.group.keypoints
    body = rng.normal(0, 15, (individuals, count, 2))
    way = rng.normal(0, 2, (size.frames, individuals, 1, 2)).cumsum(axis=0) + rng.uniform(
        100, 700, (individuals, 1, 2)
    )
    return (way + body + rng.normal(0, 0.5, (size.frames, individuals, count, 2))).astype(np.float32)


def _as_in_files(clip: np.ndarray, size: Size, rng: np.random.Generator) -> np.ndarray:
    """Whole px where two zeros are missing, or float32 where NaN is and one slot may be empty."""
    if size.group.zero_missing:
        return np.rint(np.abs(clip)).astype(np.int64)
    if rng.random() < 0.5:
        clip[:, -1] = np.nan
    return clip


def run(script: str, *options: str, stop_after: float | None = None) -> Stage:
    """Run a script of the repository; `stop_after` so many seconds of training it is told to stop."""
    environment = {**os.environ, "TQDM_DISABLE": "1", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, str(ROOT / script), *options]
    started, ready, peak = time.perf_counter(), None, 0.0
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=lambda: [lines.put(line) for line in child.stdout], daemon=True).start()
    said = []
    while child.poll() is None:
        time.sleep(0.1)
        peak = max(peak, memory(child.pid))
        while not lines.empty():
            said.append(lines.get())
            if " windows of " in said[-1]:
                ready = time.perf_counter() - started
        if stop_after and ready and time.perf_counter() - started > ready + stop_after:
            child.send_signal(signal.SIGINT)
            stop_after = None
    if child.returncode not in (0, 128 + signal.SIGINT):
        raise RuntimeError(f"{' '.join(command)} has failed: {''.join(said)[-2000:]}")
    return Stage(ready, time.perf_counter() - started, peak)


def memory(process: int) -> float:
    """GiB of anonymous and shared memory of a process and those it has started."""
    total = 0.0
    try:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith(("RssAnon", "RssShmem")):
                total += int(line.split()[1]) / 2**20
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:  # it has just ended
        return total
    return total + sum(memory(int(child)) for child in children)


def measure(name: str, root: Path, share: float, seconds: float) -> dict[str, Any]:
    """All stages of one group."""
    size, folder = SIZES[name], files.make_folder(root / name)
    make_files(folder, size, share)
    shutil.rmtree(folder / "cache", ignore_errors=True)
    (folder / "m.pt").unlink(missing_ok=True)
    common = ("--data_root", str(folder), "--log_dir", str(folder / "runs"))
    train = (*common, "--job", "train", "--ckpt_path")
    stages = {"train, first start": run(size.script, *train, str(folder / "m.pt"), stop_after=seconds)}
    stages["train, second start"] = run(size.script, *train, str(folder / "n.pt"), stop_after=seconds)
    (folder / "n.pt").unlink(missing_ok=True)
    embed = (*common, "--job", "compute_representations", "--ckpt_path", str(folder / "m.pt"))
    stages["embed"] = run(size.script, *embed)
    for label, stage in stages.items():
        ready = f"training begins after {stage.ready:.0f} s, " if stage.ready else ""
        print(f"{name}, {label:20s} {ready}{stage.seconds:.0f} s in all, at most {stage.peak:.2f} GiB", flush=True)
    return {label: stage._asdict() for label, stage in stages.items()}


def main() -> None:
    """Read the command line, measure, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_root", type=Path, required=True)
    parser.add_argument("--groups", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--share", type=float, default=1.0, help="of the clips")
    parser.add_argument("--seconds", type=float, default=30.0, help="of training in each start")
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    args = parser.parse_args()
    found = {name: measure(name, args.data_root, args.share, args.seconds) for name in args.groups}
    if args.output:
        files.write_text(args.output, json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
