"""What kind of file a file is, by its content, and which function reads it."""

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bams.recordings import centroids, deeplabcut, flat_tables, jabs, json_files, movement, nwb, other_tools, sleap
from bams.recordings.recording import Recording, listed, read_padded
from bams.recordings.text import layout_of
from bams.storage.files import existing, optional, read_json, read_pickled_dict, short

HEAD = 4096  # bytes at the beginning of a file, which tell what it is
SUFFIXES = (".csv", ".h5", ".hdf5", ".slp", ".nc", ".nwb", ".npy", ".npz")  # of files that should hold tracks
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".wmv", ".mpg", ".mpeg", ".m4v", ".flv", ".seq", ".ufmf")
EXPORT = "give the tracks that the tracker exports (DeepLabCut .csv or .h5, SLEAP .slp or .analysis.h5, .nc, .npz)"
MABE = "the MABe 2022 files are for mouse_triplets.py and fruit_flies.py; save others as plain arrays"


class Kind(NamedTuple):
    """A kind of file: what it is, its reader (path, number of individuals) if it holds tracks, or advice if not.

    The readers of kinds with several views take `view`, too.
    """

    words: str
    read: Callable[..., list[Recording]] | None = None
    advice: str = EXPORT
    views: bool = False


DLC_CSV = Kind("a CSV in the layout of DeepLabCut", lambda path, individuals: [deeplabcut.read_csv(path)])
FLAT_CSV = Kind(
    "a table with a column for each coordinate", lambda path, individuals: [flat_tables.read_csv(path, individuals)]
)
DLC_HDF5 = Kind("an .h5 of DeepLabCut", lambda path, individuals: [deeplabcut.read_hdf5(path)])
SLP = Kind("a SLEAP project", sleap.read_slp)
ANALYSIS = Kind("an .analysis.h5 of SLEAP", lambda path, individuals: [sleap.read_analysis(path)])
NETCDF = Kind(
    "a netCDF file of movement", lambda path, individuals, view: [movement.read_netcdf(path, view)], views=True
)
JABS = Kind("a pose file of JABS", lambda path, individuals: [jabs.read_jabs(path)])
NWB = Kind("an NWB file", lambda path, individuals, view: nwb.read_nwb(path, view), views=True)
CALMS21 = Kind("the JSON of CalMS21", lambda path, individuals: json_files.read_calms21(read_json(path), path))
CALMS21_NPY = Kind("CalMS21", lambda path, individuals: json_files.read_calms21(read_pickled_dict(path), path))
MARS = Kind("the JSON of MARS", lambda path, individuals: [json_files.read_mars(path)])
IDTRACKER = Kind("trajectories of idtracker.ai", lambda path, individuals: [centroids.read_idtracker(path)])
TREX = Kind("a file of TRex", lambda path, individuals: [centroids.read_trex(path)])
UNKNOWN = Kind("of an unknown kind")
ARRAYS = Kind("plain arrays of numpy", lambda path, individuals: read_padded(path))
BEGINNINGS = {
    b"CDF": NETCDF,
    b"\x1f\x8b": Kind("compressed by gzip", None, "unpack it first"),
    b"\x80": Kind("a Python pickle, which could run code"),
}
NESTED = r'\{\s*"[^"]*"\s*:\s*'  # an object in JSON, up to the value of its first name
JSON = {  # what is found in the beginning
    rf'{NESTED}{NESTED}{{\s*"(keypoints|scores|annotations|metadata)"': CALMS21,
    r'\{\s*"(keypoints|scores|bbox|bscores)"\s*:\s*\[': MARS,
}


def recognise(path: Path) -> Kind:
    """The kind of a file, by its content; raises an error if the file is missing, empty or damaged."""
    with existing(path).open("rb") as file:
        head = file.read(HEAD)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return _hdf5_kind(path)
    if head.startswith(b"\x93NUMPY"):
        return _pickled_kind(head) if b"'|O'" in head[:128] else ARRAYS
    if head.startswith(b"PK"):
        return _zip_kind(path)
    text = head.decode("utf-8-sig", "ignore").lstrip()
    for found, kind in JSON.items():
        if re.match(found, text):
            return kind
    if known := other_tools.of_bytes(head, path) or other_tools.of_text(text, path):
        return Kind(known[0], None, known[1])
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


def _pickled_kind(head: bytes) -> Kind:
    """The kind of a `.npy` that holds a pickled dict, by the first names in it."""
    if b"trajectories" in head:
        return IDTRACKER
    if b"keypoints" in head and b"sequences" not in head:
        return CALMS21_NPY
    return Kind("a pickled .npy", None, MABE)


def _zip_kind(path: Path) -> Kind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")}
    except Exception:  # zipfile raises many kinds on a damaged file
        return ARRAYS if path.suffix.lower() == ".npz" else Kind("a damaged zip file")
    if not names:
        return Kind("a zip file, such as of Excel or PyTorch")
    if "trajectories" in names:
        return IDTRACKER
    if "frame" in names and names & {"X", "poseX0", "X#wcentroid", "X#pcentroid", "X#centroid"}:
        return TREX
    if any(name.startswith(("midline_", "outline_", "posture_")) for name in names):
        return Kind("postures of TRex", None, "give the files with positions, such as NAME_fish0.npz")
    return ARRAYS


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
            if "nwb_version" in file.attrs:
                return NWB
            if "poseest/points" in file:
                return JABS
            if getattr(file.get("trajectories"), "ndim", 0) == 3:
                return IDTRACKER
            if "position" in file:
                return NETCDF
            if known := other_tools.of_hdf5(file):
                return Kind(known[0], None, known[1])
            return Kind(f"an HDF5 file with {listed(list(map(str, file))) or 'nothing'} in it, not tracks")
    except Exception as error:  # h5py raises many kinds
        raise ValueError(f"{path} is a damaged HDF5 file: {short(error)}") from error
