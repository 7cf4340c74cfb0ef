"""Files with changed bytes, or without their end: refused with a sentence that names the file, or read rightly."""

import faulthandler
import random
import runpy
import signal
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import bams
from bams.mabe import files as mabe_files
from torture.children import start
from torture.tally import Tally

FRAMES, POINTS = 40, ["nose", "neck", "tail"]
SECONDS = 20  # the longest time to read a file
WORDS = ("-1", "1e999", "nan", "9" * 30, "0x10", "1.5", "", "true", "[]", '"')


class Kind(NamedTuple):
    """A valid file."""

    path: Path
    read: Callable[[Path], Any]  # gives its content, as arrays in lists and dicts if it is sealed
    sealed: bool = False  # whether the file has checksums, so that other content than its own is wrong


def run(cases: int = 500, seed: int = 0) -> Tally:
    """Damage each kind of file so many times; each kind is read in a process of its own, which may crash."""
    tally = Tally("damaged files")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        start(lambda: write_files(folder), folder).end()  # trains, and this process is to fork again
        for name, kind in kinds(folder).items():
            count(name, kind, cases, seed, tally)
    return tally


def count(name: str, kind: Kind, cases: int, seed: int, tally: Tally) -> None:
    """Read one kind of file with `cases` damages, and add to the tally."""
    outcomes = kind.path.with_name("outcomes")
    outcomes.touch()
    ended = start(lambda: _read_all(kind, cases, seed, outcomes), kind.path.parent).end()
    lines = outcomes.read_text().splitlines()
    for line in lines:
        tally.refused += line == "refused"
        tally.harmless += line == "harmless"
        tally.wrong += [f"{name} {line}"] if line.startswith("wrong") else []
    tally.tried += len(lines)
    if ended.status or len(lines) < cases:
        tally.wrong.append(f"{name} case {len(lines)} ended the process with {ended.status}: {ended.said[-300:]}")


def _read_all(kind: Kind, cases: int, seed: int, outcomes: Path) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    faulthandler.disable()  # a crash is counted, not printed
    original, known = kind.path.read_bytes(), kind.read(kind.path)
    with outcomes.open("w", buffering=1) as written:
        for what, content in damaged(original, cases, seed):
            kind.path.unlink(missing_ok=True)  # an array mapped from it keeps its content
            kind.path.write_bytes(content)
            signal.alarm(SECONDS)
            print(_outcome(kind, known, what), file=written)
            signal.alarm(0)
    kind.path.write_bytes(original)


def _outcome(kind: Kind, known: Any, what: str) -> str:
    try:
        found = kind.read(kind.path)
        if kind.sealed:
            np.testing.assert_equal(found, known)
    except (ValueError, OSError) as error:
        said = str(error)
        named = str(kind.path) in said or str(kind.path.parent) in said
        return "refused" if named and "\n" not in said else f"wrong {what}: no sentence about the file: {said[:300]!r}"
    except BaseException as error:
        return f"wrong {what}: {type(error).__name__} {' '.join(str(error).split())[:300]}"
    return "harmless"


def damaged(original: bytes, cases: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """One bit changed, a stretch lost or zero, a number written otherwise, or the end lost; often near either end."""
    rng, edge = random.Random(seed), min(500, len(original))
    for number in range(cases):
        at = rng.choice([rng.randrange(len(original)), rng.randrange(edge), len(original) - 1 - rng.randrange(edge)])
        content, length = bytearray(original), rng.choice([1, 8, 100])
        match number % 8:
            case 0:
                yield f"cut at {at}", original[:at]
            case 1:
                yield f"without {length} bytes at {at}", original[:at] + original[at + length :]
            case 2:
                content[at : at + length] = bytes(length)
                yield f"zero at {at}", bytes(content)
            case 3:
                digits = next((i for i in range(at, len(content)) if chr(content[i]).isdecimal()), at)
                content[digits : digits + 1] = rng.choice(WORDS).encode()
                yield f"another number at {digits}", bytes(content)
            case _:
                content[at] ^= 1 << rng.randrange(8)
                yield f"changed at {at}", bytes(content)


def write_files(folder: Path) -> None:
    """One small file of each kind in `kinds`, each in a folder of its own."""
    for kind in kinds(folder).values():
        kind.path.parent.mkdir()
    rng = np.random.default_rng(0)
    keypoints = rng.random((2, 2, FRAMES, 3, 2), np.float32)
    named = {"keypoints": keypoints, "keypoint_names": np.array(POINTS), "fps": 30.0, "lengths": [FRAMES, 30]}
    np.save(folder / "npy/a.npy", keypoints)
    np.savez(folder / "npz/a.npz", **named)
    np.savez_compressed(folder / "packed/a.npz", **named)
    embedder = bams.BAMSEmbedder(epochs=1, sequence_length=20, settings={"skip_frames": 1})
    embedder.fit(keypoints).save(folder / "checkpoint/a.pt")
    clips = {name: rng.random((3, FRAMES, 12, 2), np.float32) for name in "ab"}
    mabe_files.write_sequences(folder / "mabe/a.npy", clips)
    writers = runpy.run_path(str(Path(__file__).parents[1] / "tests" / "pose_writers.py"))
    columns, frames = writers["columns"](POINTS), np.arange(5, 5 + FRAMES)
    values = rng.random((FRAMES, len(columns))) * 100
    writers["write_csv"](folder / "deeplabcut_csv/a.csv", columns, frames, values)
    writers["write_fixed"](folder / "deeplabcut_h5/a.h5", columns, frames, values)
    tracks = rng.random((2, 2, 3, FRAMES)) * 100
    writers["write_analysis"](folder / "sleap/a.analysis.h5", tracks, POINTS, ["a", "b"], tracks[:, 0] / 100)


def kinds(folder: Path) -> dict[str, Kind]:
    """The files that researchers have, and what reads them."""

    def read_checkpoint(path: Path) -> Any:
        found = bams.checkpoint.load(path)
        weights = {name: weight.numpy() for name, weight in found.model.state_dict().items()}
        return [weights, vars(found.statistics), found.marginal_loss, found.features, found.settings]

    def read_poses(path: Path) -> Any:
        return [vars(recording) for recording in bams.load_poses(path)]

    read_clips = partial(mabe_files.load_sequences, keypoints=12, individuals=3)
    return {
        "checkpoint": Kind(folder / "checkpoint/a.pt", read_checkpoint, sealed=True),
        "npy": Kind(folder / "npy/a.npy", bams.load_poses),
        "npz": Kind(folder / "npz/a.npz", read_poses, sealed=True),
        "compressed npz": Kind(folder / "packed/a.npz", read_poses, sealed=True),
        "CSV of DeepLabCut": Kind(folder / "deeplabcut_csv/a.csv", bams.load_poses),
        "HDF5 of DeepLabCut": Kind(folder / "deeplabcut_h5/a.h5", bams.load_poses),
        "analysis of SLEAP": Kind(folder / "sleap/a.analysis.h5", bams.load_poses),
        "clips of MABe": Kind(folder / "mabe/a.npy", read_clips),
    }
