"""What kind of file a file is, by its content, and which function reads it.

Each tracker has a file of its own in this folder, and each kind of file an entry here.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bams.recordings import deeplabcut, movement, sleap
from bams.recordings.hdf5 import open_hdf5
from bams.recordings.numpy_files import read_padded
from bams.recordings.recording import Recording, listed
from bams.storage.files import existing, short

HEAD = 4096  # bytes at the beginning of a file, which tell what it is
SUFFIXES = (".csv", ".h5", ".hdf5", ".slp", ".nc", ".npy", ".npz")  # of files that should hold tracks
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".wmv", ".mpg", ".mpeg", ".m4v", ".flv", ".seq", ".ufmf")
EXPORT = "give the tracks that the tracker exports (DeepLabCut .csv or .h5, SLEAP .slp or .analysis.h5, .nc, .npz)"
HEADER = "expected the header rows scorer, [individuals,] bodyparts, coords of DeepLabCut, with commas between cells"
MABE = "the MABe 2022 files are for mouse_triplets.py and fruit_flies.py; save others as plain arrays"
Reader = Callable[[Path, int | None], list[Recording]]


class Kind(NamedTuple):
    """A kind of file: what it is, its reader (path, number of individuals) if it holds tracks, or advice if not."""

    words: str
    read: Reader | None = None
    advice: str = EXPORT


def _one(read: Callable[[Path], Recording]) -> Reader:
    """The reader of a kind of file that holds one recording."""
    return lambda path, individuals: [read(path)]


DLC_CSV = Kind("a CSV in the layout of DeepLabCut", _one(deeplabcut.read_csv))
DLC_HDF5 = Kind("an .h5 of DeepLabCut", _one(deeplabcut.read_hdf5))
SLP = Kind("a SLEAP project", sleap.read_slp)
ANALYSIS = Kind("an .analysis.h5 of SLEAP", _one(sleap.read_analysis))
NETCDF = Kind("a netCDF file of movement", _one(movement.read_netcdf))
ARRAYS = Kind("plain arrays of numpy", lambda path, individuals: read_padded(path))
BEGINNINGS = {
    b"CDF": NETCDF,
    b"MATLAB": Kind("a MATLAB file", None, "save the keypoints as a plain array in an .npz"),
    b"\x1f\x8b": Kind("compressed by gzip", None, "unpack it first"),
    b"\x80": Kind("a Python pickle, which could run code"),
}


def recognise(path: Path) -> Kind:
    """The kind of a file, by its content; raises an error if the file is missing, empty or damaged."""
    with existing(path).open("rb") as file:
        head = file.read(HEAD)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return _hdf5_kind(path)
    if head.startswith(b"\x93NUMPY"):
        return Kind("a pickled .npy", None, MABE) if b"'|O'" in head[:128] else ARRAYS
    if head.startswith(b"PK"):
        return ARRAYS if b".npy" in head else Kind("a zip file, such as of Excel or PyTorch")
    text = head.decode("utf-8-sig", "ignore")
    cell = text.lstrip().partition("\n")[0].partition(",")[0].strip().strip('"').lower()
    if cell in deeplabcut.HEADER:
        return DLC_CSV
    if path.suffix.lower() == ".csv":
        return Kind(f"a CSV whose first row begins with {cell[:30]!r}", None, HEADER)
    for begin, kind in BEGINNINGS.items():
        if head.startswith(begin):
            return kind
    if path.suffix.lower() in VIDEOS:
        return Kind("a video", None, f"track it first and {EXPORT}")
    return Kind("of an unknown kind")


def _hdf5_kind(path: Path) -> Kind:
    try:
        with open_hdf5(path) as file:
            if deeplabcut.tables(file):
                return DLC_HDF5
            if {"frames", "instances", "metadata"} <= set(file):
                return SLP
            if getattr(file.get("tracks"), "ndim", 0) == 4:
                return ANALYSIS
            if "position" in file:
                return NETCDF
            return Kind(f"an HDF5 file with {listed(list(map(str, file))) or 'nothing'} in it, not tracks")
    except ImportError:
        raise
    except Exception as error:  # h5py raises many kinds
        raise ValueError(f"{path} is a damaged HDF5 file: {short(error)}") from error
