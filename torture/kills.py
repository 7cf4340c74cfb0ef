"""A training that is killed at random moments, a hundred times, ends with the weights of one that was not."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import custom_dataset
from bams import checkpoint
from torture.children import run_script, start
from torture.tally import Tally
from torture.training import differences, training, write_tracks

EPOCHS_PER_KILL = 6  # more than are done between two kills, so that the training does not end before them
SAVES = 10  # a child is killed before it has written so many checkpoints


def run(kills: int = 100, seed: int = 0, say: Callable[[str], None] = print) -> Tally:
    """Kill and resume; each kill is a fault, survived if the checkpoint loads and has lost nothing."""
    tally, rng = Tally("kills of a training (SIGKILL)"), random.Random(seed)
    epochs = kills * EPOCHS_PER_KILL
    with TemporaryDirectory() as made:
        folder = Path(made)
        write_tracks(folder / "tracks.npz")
        begun = time.monotonic()
        child = start(lambda: custom_dataset.main(training("whole.pt", epochs)), folder)
        while not (folder / "whole.pt").exists() and child.runs():
            time.sleep(0.001)
        first = time.monotonic() - begun
        whole = child.end()
        if whole.status:
            tally.wrong.append(f"the training that is not killed ends with {whole.status}: {whole.said[-500:]}")
            return tally
        each = (time.monotonic() - begun - first) / (epochs - 1)
        (folder / "cache").rename(folder / "cache of the other")
        path, done, writing = folder / "killed.pt", 0, 0
        while tally.faults < kills:
            child = start(lambda: custom_dataset.main(training(path.name, epochs)), folder)
            time.sleep(rng.uniform(0, first + SAVES * each))
            child.kill()
            ended = child.end()
            if ended.status >= 0:
                if ended.status or checkpoint.load(path).progress["epoch"] < epochs:
                    tally.wrong.append(f"a child ended by itself with {ended.status}: {ended.said[-300:]}")
                break
            tally.faults += 1
            writing += bool(list(folder.glob(".killed.pt.*.part")))
            try:
                now = checkpoint.load(path).progress["step"] if path.exists() else 0
            except ValueError as error:
                tally.wrong.append(f"after kill {tally.faults}: {error}")
                break
            if now < done:
                tally.wrong.append(f"after kill {tally.faults}: step {now} after {done}")
            tally.survived += now >= done
            done = now
        say(f"{tally.faults} kills, {writing} of them while a checkpoint was written; {done} steps were done then")
        last = run_script(custom_dataset.main, training(path.name, epochs), folder)
        if last.status:
            tally.wrong.append(f"the last start ends with {last.status}: {last.said[-300:]}")
        else:
            tally.wrong += [f"{name} differs from a whole run" for name in differences(path, folder / "whole.pt")]
        if left := [found.name for found in folder.glob(".*")]:
            tally.wrong.append(f"left behind: {', '.join(left)}")
    return tally
