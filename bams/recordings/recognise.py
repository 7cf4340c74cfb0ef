"""What kind of file a file is, by its content, and which function reads it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from bams.recordings import deeplabcut, flat_tables, movement, sleap
from bams.recordings.recording import Recording, listed, read_padded
from bams.recordings.text import layout_of
from bams.storage.files import existing, optional, short

HEAD = 4096  # bytes at the beginning of a file, which tell what it is
SUFFIXES = (".csv", ".h5", ".hdf5", ".slp", ".nc", ".npy", ".npz")  # of files that should hold tracks
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".wmv", ".mpg", ".mpeg", ".m4v", ".flv", ".seq", ".ufmf")
EXPORT = "give the tracks that the tracker exports (DeepLabCut .csv or .h5, SLEAP .slp or .analysis.h5, .nc, .npz)"
MABE = "the MABe 2022 files are for mouse_triplets.py and fruit_flies.py; save others as plain arrays"


class Kind(NamedTuple):
    """A kind of file: what it is, its reader (path, number of individuals) if it holds tracks, or advice if not."""

    words: str
    read: Callable[[Any, int | None], list[Recording]] | None = None
    advice: str = EXPORT


DLC_CSV = Kind("a CSV in the layout of DeepLabCut", lambda path, individuals: [deeplabcut.read_csv(path)])
FLAT_CSV = Kind(
    "a table with a column for each coordinate", lambda path, individuals: [flat_tables.read_csv(path, individuals)]
)
DLC_HDF5 = Kind("an .h5 of DeepLabCut", lambda path, individuals: [deeplabcut.read_hdf5(path)])
SLP = Kind("a SLEAP project", sleap.read_slp)
ANALYSIS = Kind("an .analysis.h5 of SLEAP", lambda path, individuals: [sleap.read_analysis(path)])
NETCDF = Kind("a netCDF file of movement", lambda path, individuals: [movement.read_netcdf(path)])
UNKNOWN = Kind("of an unknown kind")
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
    for begin, kind in BEGINNINGS.items():
        if head.startswith(begin):
            return kind
    if path.suffix.lower() in VIDEOS:
        return Kind("a video", None, f"track it first and {EXPORT}")
    return _table_kind(path)


def _table_kind(path: Path) -> Kind:
    try:
        rows = layout_of(path).rows
    except ValueError:  # no text
        return UNKNOWN
    if deeplabcut.header_rows(rows):
        return DLC_CSV
    if flat_tables.header_rows(rows):
        return FLAT_CSV
    names = [cell[:30] for cell in rows[0][1] if cell] if rows else []
    if names and rows[0][1][0].lower() in deeplabcut.TITLES:
        found = [cell for _, cells in rows[:4] if cells[0].lower() == "coords" for cell in cells[1:] if cell]
        said = f"its columns are {listed(list(dict.fromkeys(found))) or 'of no name'}, not x, y"
        return Kind("a CSV of DeepLabCut without positions", None, f"{said}; {EXPORT}")
    if path.suffix.lower() in (".csv", ".tsv"):
        return Kind(f"a CSV with the columns {listed(names) or 'of no name'}", None, flat_tables.EXPECTED)
    return UNKNOWN


def _hdf5_kind(path: Path) -> Kind:
    h5py = optional("h5py")
    try:
        with h5py.File(path) as file:
            if deeplabcut.tables(file):
                return DLC_HDF5
            if {"frames", "instances", "metadata"} <= set(file):
                return SLP
            if getattr(file.get("tracks"), "ndim", 0) == 4:
                return ANALYSIS
            if "position" in file:
                return NETCDF
            return Kind(f"an HDF5 file with {listed(list(map(str, file))) or 'nothing'} in it, not tracks")
    except Exception as error:  # h5py raises many kinds
        raise ValueError(f"{path} is a damaged HDF5 file: {short(error)}") from error
