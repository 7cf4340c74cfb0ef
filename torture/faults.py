"""Full disks, folders that vanish or are read-only, signals, two runs at once, damaged caches."""

import os
import shutil
import signal
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import custom_dataset
from torture.children import Ended, run_script, start
from torture.tally import Tally
from torture.training import begun, differences, left_behind, refusal, resumed, train, training, write_tracks

# A fault works in a folder with tracks.npz and with whole.pt, the checkpoint of a training without a fault. It returns
# what went wrong; empty if the run ended as promised, and going on gave the weights of whole.pt.
Fault = Callable[[Path], str]


def full_disk(folder: Path, room: int, what: str) -> str:
    """There is room for files of this many bytes."""
    return refusal(train(folder, file_size=room), what, "File too large") or resumed(folder)


def full_disk_later(folder: Path) -> str:
    """There is no room for the next checkpoint, so the last one must stay."""
    wrong = refusal(_stopped(folder), "go on with --resume", status=143)
    before = (folder / "m.pt").read_bytes()
    wrong = wrong or refusal(train(folder, file_size=2**20), "m.pt", "File too large")
    if (folder / "m.pt").read_bytes() != before:
        return "the former checkpoint has changed"
    return wrong or resumed(folder)


def full_disk_of_embeddings(folder: Path) -> str:
    """There is no room for the embeddings, of which nothing may be left behind."""
    before = set(folder.iterdir())
    embed = "--job compute_representations --data_root tracks.npz --ckpt_path whole.pt --format csv"
    ended = run_script(custom_dataset.main, embed.split(), folder, file_size=20_000)
    left = {path.name for path in set(folder.iterdir()) - before if not path.name.startswith("output-")}
    return refusal(ended, "cannot write", "File too large") or (f"left behind: {left}" if left else "")


def folder_deleted(folder: Path, which: str) -> str:
    """The run makes the folder of checkpoints or curves again, or ends with one sentence and a checkpoint."""
    child = begun(folder, "--log_every_step", "1", name="out/m.pt")
    shutil.rmtree(folder / which)
    ended = child.end()
    return (refusal(ended, "m.pt") if ended.status else "") or resumed(folder, name="out/m.pt")


def read_only(folder: Path, *flags: str, name: str = "m.pt") -> str:
    """A folder that cannot be written is refused before any work."""
    closed = folder / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    folder.chmod(0o777)
    ended = train(folder, *flags, name=name, as_nobody=True)
    closed.chmod(0o755)
    return "training began first" if "epochs of" in ended.said else refusal(ended, "closed")


def told_to_stop(folder: Path, number: int) -> str:
    """The run writes a checkpoint, says its name, and ends with the status that shells expect."""
    return refusal(_stopped(folder, number), "go on with --resume m.pt", status=128 + number) or resumed(folder)


def _stopped(folder: Path, number: int = signal.SIGTERM) -> Ended:
    child = begun(folder)
    os.kill(child.pid, number)
    return child.end()


def worker_killed(folder: Path) -> str:
    """The system kills a process that loads batches, for want of memory."""
    child = begun(folder, "--num_workers", "1")
    workers, listed = [], Path(f"/proc/{child.pid}/task/{child.pid}/children")
    while child.runs() and not workers:
        workers = [int(one) for one in listed.read_text().split()]
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    return refusal(child.end(), "--num_workers", "m.pt") or resumed(folder)


def same_checkpoint(folder: Path) -> str:
    """A second run of the same checkpoint is refused, and does not disturb the first."""
    child = begun(folder)
    wrong = refusal(train(folder), "m.pt")
    ended = child.end()
    return wrong or (f"the first ended with {ended.status}" if ended.status else resumed(folder))


def same_folder(folder: Path) -> str:
    """Two runs that begin in the same second, in one folder, have checkpoints and curves of their own."""
    argv = [flag for flag in training("") if flag not in ("--ckpt_path", "", "--resume", "auto")]
    wrong = _both(folder, argv, argv)
    made, curves = sorted(folder.glob("bams-custom-*.pt")), list((folder / "runs").glob("bams-custom-*"))
    if len(made) != 2 or len(curves) != 2:
        return wrong or f"two runs left {len(made)} checkpoints and {len(curves)} folders of curves"
    differing = [name for path in made for name in differences(path, folder / "whole.pt")]
    return wrong or (f"{', '.join(differing)} differ" if differing else left_behind(folder))


def same_cache(folder: Path) -> str:
    """Two runs begin with the same features: one makes them, and the other waits for them."""
    wrong = _both(folder, training("m.pt"), training("n.pt"))
    if not wrong and len(list((folder / "cache").iterdir())) != 1:
        return f"the cache has {sorted((folder / 'cache').iterdir())}"
    return wrong or ", ".join(differences(folder / "m.pt", folder / "n.pt")) or resumed(folder)


def _both(folder: Path, *lines: list[str]) -> str:
    children = [start(partial(custom_dataset.main, argv), folder) for argv in lines]
    ended = [child.end() for child in children]
    return f"ended with {[one.said[-300:] for one in ended]}" if any(one.status for one in ended) else ""


def damaged_cache(folder: Path, name: str, harm: Callable[[Path], object]) -> str:
    """Features of which a file was lost or cut are made again, with a notice."""
    train(folder, name="first.pt")
    (path,) = (folder / "cache").glob(f"*/{name}")
    harm(path)
    ended = train(folder)
    return resumed(folder) if "made anew" in ended.said else f"no notice: {ended.said[-300:]}"


FAULTS: dict[str, Fault] = {
    "full disk from the start": partial(full_disk, room=2**20, what="m.pt"),  # enough for the features
    "full disk after a checkpoint": full_disk_later,
    "full disk of the cache": partial(full_disk, room=10_000, what="cache"),
    "full disk of the embeddings": full_disk_of_embeddings,
    "folder of the checkpoint deleted": partial(folder_deleted, which="out"),
    "folder of the curves deleted": partial(folder_deleted, which="runs"),
    "read-only folder of the checkpoint": partial(read_only, name="closed/m.pt"),
    "read-only folder of the curves": lambda folder: read_only(folder, "--log_dir", "closed"),
    "read-only folder of the cache": lambda folder: read_only(folder, "--cache_path", "closed"),
    "Ctrl-C (SIGINT)": partial(told_to_stop, number=signal.SIGINT),
    "end of the time on a cluster (SIGTERM)": partial(told_to_stop, number=signal.SIGTERM),
    "loader worker killed": worker_killed,
    "two runs of one checkpoint": same_checkpoint,
    "two runs in one folder": same_folder,
    "two runs that make one cache": same_cache,
    **{
        f"cache with {name} {what}": partial(damaged_cache, name=name, harm=harm)
        for name in ("inputs.npy", "actions.npy", "valid.npy", "statistics.npz")
        for what, harm in (("lost", Path.unlink), ("cut", lambda path: os.truncate(path, path.stat().st_size // 2)))
    },
}
SHORT = list(FAULTS)[2::3]  # some of each kind


def run(names: Sequence[str] = list(FAULTS)) -> Tally:
    """Inject each fault into a training of its own."""
    tally = Tally("disks, folders, signals, two runs, caches")
    with TemporaryDirectory() as made:
        os.chmod(made, 0o755)
        original = Path(made) / "original"
        original.mkdir()
        write_tracks(original / "tracks.npz")
        train(original, name="whole.pt")
        for number, name in enumerate(names):
            folder = Path(made) / str(number)
            folder.mkdir()
            for kept in ("tracks.npz", "whole.pt"):
                shutil.copy(original / kept, folder)
            wrong = FAULTS[name](folder)
            tally.fault(f"{name}: {wrong}" if wrong else "")
    return tally
