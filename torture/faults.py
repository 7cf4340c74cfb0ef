"""Full disks, folders that vanish or cannot be written, helpers that die, signals, two runs in one folder."""

import os
import shutil
import signal
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import torch

import custom_dataset
from bams.training import step
from torture.children import Ended, run_script, start
from torture.tally import Tally
from torture.training import (
    EPOCHS,
    begun,
    differences,
    left_behind,
    refusal,
    resumed,
    train,
    training,
    write_tracks,
)

NOBODY = 65534

Fault = Callable[[Path], str]  # in a folder with tracks.npz and whole.pt; gives what went wrong, or nothing


def full_disk(folder: Path) -> str:
    """Files may not grow beyond what was written before: the second checkpoint is refused, the first one stays."""
    size = 2**20
    return refusal(train(folder, file_size=size), "m.pt", "File too large") or resumed(folder)


def full_disk_later(folder: Path) -> str:
    """Room for the curves alone, after the first checkpoint."""
    wrong = refusal(_stopped(folder), "go on with --resume", status=143)
    before = (folder / "m.pt").read_bytes()
    wrong = wrong or refusal(train(folder, file_size=2**20), "m.pt", "File too large", "kept")
    if (folder / "m.pt").read_bytes() != before:
        return "the former checkpoint has changed"
    return wrong or resumed(folder)


def full_disk_for_curves(folder: Path) -> str:
    """TensorBoard's file reaches the limit, the checkpoint does not."""
    many = ["--log_every_step", "1"]
    with patch("tensorboard.summary.writer.record_writer.RecordWriter.write", _no_room):
        ended = train(folder, *many)
    return refusal(ended, "curves", "No space left") or resumed(folder)


def _no_room(*_: object) -> None:
    raise OSError(28, "No space left on device")


def full_disk_of_the_cache(folder: Path) -> str:
    """The features that are to be kept find no room."""
    return refusal(train(folder, file_size=10_000), "cache", "File too large") or resumed(folder)


def full_disk_of_embeddings(folder: Path, *flags: str) -> str:
    """What a trained model is to write finds no room: a sentence, and nothing is left behind."""
    before = set(folder.iterdir())
    embed = ["--job", "compute_representations", "--data_root", "tracks.npz", "--ckpt_path", "whole.pt", *flags]
    ended = run_script(custom_dataset.main, embed, folder, file_size=20_000)
    left = {path.name for path in set(folder.iterdir()) - before if not path.name.startswith("output-")}
    return refusal(ended, "cannot write", "File too large") or (f"left behind: {left}" if left else "")


def same_cache(folder: Path) -> str:
    """Two runs begin by making the same features: one makes them, the other waits for it."""
    both = [start(lambda name=name: custom_dataset.main(training(name, EPOCHS)), folder) for name in ("m.pt", "n.pt")]
    ended = [child.end() for child in both]
    if any(one.status for one in ended):
        return f"ended with {[one.said[-300:] for one in ended]}"
    if len(list((folder / "cache").iterdir())) != 1:
        return f"the cache has {sorted((folder / 'cache').iterdir())}"
    return ", ".join(differences(folder / "m.pt", folder / "n.pt")) or resumed(folder)


def folder_deleted(folder: Path, which: str) -> str:
    """A folder vanishes while the run is on: it is made anew, or the run ends with a sentence and a checkpoint."""
    child = begun(folder, "--log_dir", "runs", name=f"{which}/m.pt")
    shutil.rmtree(folder / which)
    ended = child.end()
    if ended.status and (wrong := refusal(ended, "m.pt")):
        return wrong
    return resumed(folder, name=f"{which}/m.pt")


def curves_deleted(folder: Path) -> str:
    """The folder of the curves vanishes."""
    child = begun(folder, "--log_every_step", "1")
    shutil.rmtree(folder / "runs")
    ended = child.end()
    return (refusal(ended, "curves", "m.pt") if ended.status else "") or resumed(folder)


def read_only(folder: Path, *flags: str) -> str:
    """A folder that may not be written: said before any work."""
    closed = folder / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    folder.chmod(0o777)
    ended = train(folder, *flags, name="closed/m.pt" if not flags else "m.pt", user=NOBODY)
    closed.chmod(0o755)
    if "epochs of" in ended.said:
        return "training began before the folder was tried"
    return refusal(ended, "closed")


def told_to_stop(folder: Path, number: int) -> str:
    """A signal: a checkpoint, its name, and the status that shells expect."""
    return refusal(_stopped(folder, number), "go on with --resume m.pt", status=128 + number) or resumed(folder)


def _stopped(folder: Path, number: int = signal.SIGTERM) -> Ended:
    child = begun(folder)
    child.kill(number)
    return child.end()


def worker_killed(folder: Path) -> str:
    """The system ends a process that loads batches."""
    child = begun(folder, "--num_workers", "1")
    killed = False
    while child.runs() and not killed:
        for worker in _children_of(child.pid):
            os.kill(worker, signal.SIGKILL)
            killed = True
    ended = child.end()
    return refusal(ended, "--num_workers", "m.pt") or resumed(folder)


def _children_of(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def out_of_memory(folder: Path) -> str:
    """A GPU has too little memory for a batch: the message names the batch."""
    with patch.object(step.TrainingStep, "forward", _too_large):
        ended = train(folder)
    return refusal(ended, "batches of 32 windows", "--batch_size") or resumed(folder)


def _too_large(*_: object, **__: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def not_finite(folder: Path) -> str:
    """A loss becomes NaN in the middle: its name, the step, the tracks and the checkpoint before it are said."""
    usual = step.TrainingStep.forward

    def broken(self, batch, number, tracks):
        values = usual(self, batch, number, tracks)
        return values | {"hoa_loss": values["hoa_loss"] * float("nan")} if number == 5 else values

    with patch.object(step.TrainingStep, "forward", broken):
        ended = train(folder, "--log_every_step", "1")
    return refusal(
        ended, "hoa_loss is not finite at step 6", "recording0/individual1", "m.pt holds the last checkpoint"
    ) or resumed(folder)


def same_checkpoint(folder: Path) -> str:
    """A second run of the same checkpoint is refused while the first is on, which is not disturbed."""
    child = begun(folder)
    wrong = refusal(train(folder), "another process is writing m.pt")
    ended = child.end()
    return wrong or (f"the first ended with {ended.status}" if ended.status else resumed(folder))


def same_folder(folder: Path) -> str:
    """Two runs begin in the same second, with checkpoints named after it and one folder for curves."""
    argv = [flag for flag in training("", EPOCHS) if flag not in ("--ckpt_path", "", "--resume", "auto")]
    both = [start(lambda: custom_dataset.main(argv), folder) for _ in range(2)]
    ended = [child.end() for child in both]
    if any(one.status for one in ended):
        return f"ended with {[one.said[-300:] for one in ended]}"
    made, curves = sorted(folder.glob("bams-custom-*.pt")), list((folder / "runs").glob("bams-custom-*"))
    if len(made) != 2 or len(curves) != 2:
        return f"two runs left {len(made)} checkpoints and {len(curves)} folders of curves"
    wrong = [name for path in made for name in differences(path, folder / "whole.pt")]
    return f"{', '.join(wrong)} differ" if wrong else left_behind(folder)


def damaged_cache(folder: Path, name: str, harm: Callable[[Path], object], noticed: bool = True) -> str:
    """A file of the features that are kept is lost, cut or changed: made anew with a notice, or a sentence.

    A byte that says nothing of the numbers may go unnoticed.
    """
    train(folder, name="first.pt")
    (path,) = (folder / "cache").glob(f"*/{name}")
    harm(path)
    ended = train(folder)
    if ended.status:
        wrong = refusal(ended, "cache", "delete")
        shutil.rmtree(folder / "cache")
        return wrong or resumed(folder)
    if noticed and "made anew" not in ended.said:
        return f"no notice: {ended.said[-300:]}"
    return resumed(folder)


def _flip(path: Path, at: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(at * (len(content) - 1))] ^= 0x10
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


CACHE = ("inputs.npy", "actions.npy", "valid.npy", "statistics.npz")
FAULTS: dict[str, Fault] = {
    "full disk from the start": full_disk,
    "full disk after a checkpoint": full_disk_later,
    "full disk of the curves": full_disk_for_curves,
    "full disk of the cache": full_disk_of_the_cache,
    "full disk of the embeddings as arrays": full_disk_of_embeddings,
    "full disk of the embeddings as tables": lambda folder: full_disk_of_embeddings(folder, "--format", "csv"),
    "folder of the checkpoint deleted": partial(folder_deleted, which="out"),
    "folder of the curves deleted": curves_deleted,
    "read-only folder of the checkpoint": read_only,
    "read-only folder of the curves": lambda folder: read_only(folder, "--log_dir", "closed"),
    "read-only folder of the cache": lambda folder: read_only(folder, "--cache_path", "closed"),
    "SIGINT": partial(told_to_stop, number=signal.SIGINT),
    "SIGTERM": partial(told_to_stop, number=signal.SIGTERM),
    "loader worker killed": worker_killed,
    "out of memory on a GPU": out_of_memory,
    "loss not finite": not_finite,
    "two runs of one checkpoint": same_checkpoint,
    "two runs in one folder": same_folder,
    "two runs that make one cache": same_cache,
    **{f"cache without {name}": partial(damaged_cache, name=name, harm=Path.unlink) for name in CACHE},
    **{f"cache with {name} cut": partial(damaged_cache, name=name, harm=_cut) for name in CACHE},
    **{
        f"cache with {name} changed at {at}": partial(
            damaged_cache, name=name, harm=partial(_flip, at=at), noticed=at < 1
        )
        for name in CACHE
        for at in (0.5, 1.0)
    },
}
# a little of each kind, for the short version
SOME = (
    *("full disk after a checkpoint", "folder of the curves deleted", "read-only folder of the checkpoint"),
    *(
        "SIGTERM",
        "loader worker killed",
        "loss not finite",
        "two runs of one checkpoint",
        "two runs in one folder",
    ),
    *("cache without inputs.npy", "cache with actions.npy changed at 0.5"),
)


def run(names: Sequence[str] = (), say: Callable[[str], None] = print) -> Tally:
    """Each fault in a folder of its own; survived if it ended as promised, and going on gave the same weights."""
    tally = Tally("disks, folders, signals, helpers, caches")
    with TemporaryDirectory() as made:
        original = Path(made) / "original"
        original.mkdir()
        os.chmod(made, 0o755)
        write_tracks(original / "tracks.npz")
        train(original, name="whole.pt")
        for number, name in enumerate(names or FAULTS):
            folder = Path(made) / str(number)
            folder.mkdir()
            for kept in ("tracks.npz", "whole.pt"):
                shutil.copy(original / kept, folder)
            wrong = FAULTS[name](folder)
            tally.faults += 1
            tally.survived += not wrong
            if wrong:
                tally.wrong.append(f"{name}: {wrong}")
                say(tally.wrong[-1])
    return tally
