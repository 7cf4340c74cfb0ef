"""A training killed at a hundred random moments ends with the weights of one that was never killed."""

import os
import random
import signal
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import custom_dataset
from bams import checkpoint
from torture.children import run_script, start
from torture.tally import Tally
from torture.training import begun, differences, left_behind, training, write_tracks

EPOCHS_PER_KILL = 6  # more than are trained between two kills, so that the training does not end before the last
SAVES = 10  # a child is killed before it has written this many checkpoints


def run(kills: int = 100, seed: int = 0) -> Tally:
    """Kill and go on. A kill is survived if the checkpoint loads and no earlier step is lost."""
    tally, rng, epochs = Tally("kills of a training (SIGKILL)"), random.Random(seed), kills * EPOCHS_PER_KILL
    with TemporaryDirectory() as made:
        folder = Path(made)
        write_tracks(folder / "tracks.npz")
        beginning = time.monotonic()
        child = begun(folder, name="whole.pt", epochs=epochs)
        first = time.monotonic() - beginning
        whole = child.end()
        if whole.status:
            tally.wrong.append(f"the training without kills ends with {whole.status}: {whole.said[-500:]}")
            return tally
        each = (time.monotonic() - beginning - first) / (epochs - 1)
        (folder / "cache").rename(folder / "cache of the other")
        path, argv, done, writing = folder / "killed.pt", training("killed.pt", epochs), 0, 0
        while tally.faults < kills and not tally.wrong:
            child = start(lambda: custom_dataset.main(argv), folder)
            time.sleep(rng.uniform(0, first + SAVES * each))
            os.kill(child.pid, signal.SIGKILL)
            ended = child.end()
            if ended.status >= 0:  # it was faster than the kill
                if ended.status or checkpoint.load(path).progress["epoch"] < epochs:
                    tally.wrong.append(f"a child ended by itself with {ended.status}: {ended.said[-300:]}")
                break
            writing += bool(list(folder.glob(".killed.pt.*.part")))
            try:
                now = checkpoint.load(path).progress["step"] if path.exists() else 0
                tally.fault("" if now >= done else f"step {now} after {done}")
                done = now
            except ValueError as error:
                tally.fault(str(error))
        print(f"{tally.faults} kills, {writing} of them while a checkpoint was being written; {done} steps done")
        last = run_script(custom_dataset.main, argv, folder)
        if last.status:
            tally.wrong.append(f"the last start ends with {last.status}: {last.said[-300:]}")
        else:
            tally.wrong += [f"{name} differs from a whole run" for name in differences(path, folder / "whole.pt")]
            tally.wrong += filter(None, [left_behind(folder)])
    return tally
