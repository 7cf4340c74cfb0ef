"""What a file is, told by its content, and its reader.

Axes: A individuals, T frames, K keypoints, d coordinates.
"""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bams.recordings import deeplabcut, movement, sleap
from bams.recordings.numpy_files import read_padded
from bams.recordings.readers import as_text, open_hdf5
from bams.recordings.recording import Recording
from bams.storage.files import existing

HEAD = 4096  # bytes that tell
EXPORT = "give the tracks that the tracker exports (DeepLabCut .csv or .h5, SLEAP .slp or .analysis.h5, .nc, .npz)"
SUFFIXES = (".csv", ".h5", ".hdf5", ".slp", ".nc", ".npy", ".npz")  # of files that may hold tracks
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".wmv", ".mpg", ".mpeg", ".m4v", ".flv", ".seq", ".ufmf")


class Kind(NamedTuple):
    """What a file is, in words; its reader (path, individuals), None = it holds no tracks; what to do then."""

    words: str
    read: Callable[[Path, int | None], list[Recording]] | None = None
    advice: str = EXPORT


VIDEO = Kind("a video", None, f"track it first and {EXPORT}")
PICKLE = Kind("a Python pickle, which could run code", None, EXPORT)

BEGINNINGS = {
    b"\x1aE\xdf\xa3": VIDEO,
    b"\x30\x26\xb2\x75": VIDEO,
    b"\x00\x00\x01\xba": VIDEO,
    b"\x00\x00\x01\xb3": VIDEO,
    b"FLV\x01": VIDEO,
    b"\x89PNG": Kind("an image"),
    b"\xff\xd8\xff": Kind("an image"),
    b"GIF8": Kind("an image"),
    b"BM": Kind("an image"),
    b"II*\x00": Kind("an image"),
    b"MM\x00*": Kind("an image"),
    b"\xd0\xcf\x11\xe0": Kind("an Excel or Word file", None, "save it as CSV in the tracker's own layout"),
    b"MATLAB ": Kind("a MATLAB file", None, "save the keypoints as a plain array in an .npz"),
    b"\x1f\x8b": Kind("compressed by gzip", None, "unpack it first"),
    b"\x80\x02": PICKLE,
    b"\x80\x03": PICKLE,
    b"\x80\x04": PICKLE,
    b"\x80\x05": PICKLE,
    b"CDF": Kind("a netCDF file of movement", lambda path, _: [movement.read_netcdf(path)]),
}
CSV = Kind("a CSV in the layout of DeepLabCut", lambda path, _: [deeplabcut.read_csv(path)])
HDF5 = {
    "pandas": Kind("an .h5 of DeepLabCut", lambda path, _: [deeplabcut.read_hdf5(path)]),
    "slp": Kind("a SLEAP project", sleap.read_slp),
    "analysis": Kind("an .analysis.h5 of SLEAP", lambda path, _: [sleap.read_analysis(path)]),
    "netCDF": Kind("a netCDF file of movement", lambda path, _: [movement.read_netcdf(path)]),
}


def recognise(path: Path) -> Kind:
    """What a file is, by its content.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is a folder, is empty, or is damaged.
        ImportError: it is HDF5, and h5py is not installed.
    """
    with existing(path).open("rb") as file:
        head = file.read(HEAD)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return _hdf5_kind(path)
    if head.startswith((b"\x93NUMPY", b"PK")):
        return _numpy_kind(path, head)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide") or head[8:12] == b"AVI ":
        return VIDEO
    text = _as_text(head)
    if text is not None:
        return _text_kind(text, path.suffix.lower())
    for begin, kind in BEGINNINGS.items():
        if head.startswith(begin):
            return kind
    return VIDEO if path.suffix.lower() in VIDEOS else Kind("of no kind that is known")


def _as_text(head: bytes) -> str | None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head:
        return None
    # the last character may be cut in two
    for end in range(len(head), max(len(head) - 4, 0), -1):
        try:
            return head[:end].decode("utf-8-sig")
        except UnicodeDecodeError:
            continue
    return None


def _text_kind(text: str, suffix: str) -> Kind:
    first = text.lstrip().partition("\n")[0].strip()
    cells = [cell.strip().strip('"').lower() for cell in first.split(",")]
    if cells[0] in deeplabcut.ANIMALS:
        return CSV
    if first.startswith(("{", "[")):
        return Kind("JSON, such as a skeleton, a model or labels of SLEAP")
    if {"track", "frame_idx"} <= set(cells):
        return Kind("a CSV of SLEAP", None, "export it as .analysis.h5, or give the .slp")
    if first.lower().startswith(("scorer;", "scorer\t")):
        return Kind("a CSV whose cells are not separated by commas", None, "give the one that the tracker wrote")
    if suffix == ".csv":
        return Kind(
            f"a CSV whose first row begins with {cells[0][:30]!r}",
            None,
            "the header rows scorer, [individuals,] bodyparts, coords of DeepLabCut are missing; export it again",
        )
    return VIDEO if suffix in VIDEOS else Kind("a text file")


def _numpy_kind(path: Path, head: bytes) -> Kind:
    if head.startswith(b"\x93NUMPY") and b"'|O'" in head[:128]:
        return Kind(
            "a pickled .npy",
            None,
            "the MABe 2022 files are for mouse_triplets.py and fruit_flies.py; save others as plain arrays",
        )
    if head.startswith(b"PK"):
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        except Exception as error:  # zipfile has many kinds
            raise ValueError(f"{path} is a damaged .npz or zip file: save it again") from error
        if any(name.startswith("xl/") for name in names):
            return Kind("an Excel file", None, "save it as CSV in the tracker's own layout")
        if any(name.endswith("/data.pkl") for name in names):
            return Kind("a file of PyTorch, such as a checkpoint", None, "give recordings, and it as ckpt_path")
        if path.suffix.lower() == ".npz" and not names:
            return Kind("an .npz without arrays", None, "save the array keypoints in it")
        if not any(name.endswith(".npy") for name in names):
            return Kind("a zip file", None, "unpack it first")
    return Kind("plain arrays of numpy", lambda path, _: read_padded(path))


def _hdf5_kind(path: Path) -> Kind:
    try:
        with open_hdf5(path) as file:
            if any(deeplabcut.is_table(item) for item in file.values()):
                return HDF5["pandas"]
            names = [as_text(name) for name in file]
            if {"frames", "instances", "metadata"} <= set(names):
                return HDF5["slp"]
            if getattr(file.get("tracks"), "ndim", 0) == 4:
                return HDF5["analysis"]
    except ImportError:
        raise
    except Exception as error:  # h5py has many kinds
        raise ValueError(f"{path} is a damaged HDF5 file: {' '.join(str(error).split())[:200]}") from error
    if "position" in names:
        return HDF5["netCDF"]
    return Kind(f"an HDF5 file with {', '.join(names[:5]) or 'nothing'} in it, not tracks")
