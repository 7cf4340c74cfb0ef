"""The files of a training run: its checkpoint and its folder of curves, which no other run writes."""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

from bams import checkpoint
from bams.app.config import RunConfig
from bams.checkpoint import Checkpoint
from bams.compute import distributed
from bams.storage import files
from bams.storage.locks import claimed

OWNER = "checkpoint.txt"  # in a folder of curves: the path of the checkpoint that they belong to


@contextmanager
def own_checkpoint(run: RunConfig, name: str) -> Iterator[Path]:
    """The path of the run's checkpoint, which no other run writes until the end of the block.

    Unless the settings name it, it is named after the data set `name` and the time. ValueError if the file exists
    already, OSError if another process writes it.
    """
    with ExitStack() as kept:
        yield distributed.told(_claim(run, name, kept) if distributed.is_first() else None)


def _claim(run: RunConfig, name: str, kept: ExitStack) -> Path:
    named = run.resume or run.ckpt_path
    if named:
        kept.enter_context(claimed(named))
        check_new(run)
        return Path(named)
    base = Path(run.output_dir) / f"{_prefix(name)}{time.strftime('%Y-%m-%d-%H-%M-%S')}.pt"
    paths = (numbered(base, number) for number in count(1))
    while True:
        path = next(paths)
        if not path.exists():
            with suppress(BlockingIOError):  # another run has just begun
                kept.enter_context(claimed(path))
                return path


def check_new(run: RunConfig) -> Path:
    """The folder of the checkpoint that a run writes; ValueError if the file exists and is not resumed."""
    if run.ckpt_path and not run.resume and Path(run.ckpt_path).exists():
        raise ValueError(f"{run.ckpt_path} exists already; --resume it, or choose another --ckpt_path")
    named = run.resume or run.ckpt_path
    return Path(named).parent if named else Path(run.output_dir)


def newest(run: RunConfig, name: str) -> tuple[str, Checkpoint] | None:
    """What `--resume auto` resumes: the run's `ckpt_path`, or the newest whole checkpoint of the data set `name`."""
    if run.ckpt_path:
        return (run.ckpt_path, checkpoint.load(run.ckpt_path)) if Path(run.ckpt_path).exists() else None
    found = Path(run.output_dir).glob(f"{_prefix(name)}*.pt")
    for path in sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        try:
            return str(path), checkpoint.load(path)
        except ValueError as error:
            print(f"left out: {error}", file=sys.stderr)
    return None


@contextmanager
def own_curves(log_dir: str | Path, path: Path, resumed: bool) -> Iterator[Path]:
    """The folder in `log_dir` for the curves of the run that writes the checkpoint `path`, and of no other run.

    It has the checkpoint's name, and a number if another run has taken that; a resumed run finds its own folder.
    """
    if not distributed.is_first():
        yield Path(log_dir)
        return
    with files.made_folder(log_dir) as parent:
        folder = _folder_of(str(path.resolve()), parent, path, resumed)
        try:
            yield folder
        finally:
            if [found.name for found in folder.glob("*")] == [OWNER]:
                shutil.rmtree(folder)


def _folder_of(owner: str, parent: Path, path: Path, resumed: bool) -> Path:
    own = None
    for number in count(1):
        folder = parent / numbered(path, number).stem
        try:
            folder.mkdir()
            break
        except FileExistsError:
            whose = folder / OWNER
            own = folder if whose.is_file() and whose.read_text() == owner else own
    if resumed and own:
        folder.rmdir()
        return own
    files.write_text(folder / OWNER, owner)
    return folder


def numbered(path: Path, number: int) -> Path:
    """The path with a number in its name, from 2 on."""
    return path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")


def _prefix(name: str) -> str:
    return f"bams-{name.replace('_', '-')}-"
