"""Embeddings as tables that R, pandas, MATLAB and numpy read, one file per recording.

Axes: A individuals, T frames, C embedding channels of one encoder.
"""

import csv
import io
import itertools
import re
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from bams.embed.tracks import ABOUT, GROUP, TrackEmbedding
from bams.storage.files import atomic_write, check_writable, optional

ROWS = 2**14  # rows of a table that are in memory at once
UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')

Tracks = dict[str, list[TrackEmbedding]]  # of one file: for each individual its parts, in the order of their frames


def write_embeddings(
    folder: str | Path, embeddings: Sequence[TrackEmbedding], kind: str, names: Mapping[str, str] | None = None
) -> list[Path]:
    """Write embeddings, one file per recording and one more for its pooled individuals; return the paths.

    The files `NAME_embeddings.EXT` and `NAME_group_embeddings.EXT` appear whole or not at all, and replace older ones.
    Tracks of one individual in one recording are parts, and are put together by frame.

    Args:
        embeddings: in any order; individuals keep this order in the files.
        kind: `csv` or `parquet`: a row per individual and frame, with the columns recording, individual, frame (its
            number in the recording), time_s (empty if `fps` is not known) and those of `TrackEmbedding.table`. CSV is
            UTF-8, with an empty cell for NaN and enough digits to give back the same float32.
            `hdf5`: attributes `recording` and `fps` (NaN = not known); for each individual a group with the attributes
            `individual` and `first_frame` and the arrays `frame` (T,), `time_s` (T,) and, by encoder name, (T, C).
            `npz`: by encoder name (A, T, C) float32, NaN where an individual has no embedding; `individuals` (A,),
            `frame` (T,), `time_s` (T,), `fps` and `recording`.
        names: NAME by recording, from `file_names`; needed if recordings are written one by one.

    Raises:
        ImportError: a package for this kind is not installed: `pip install "bams[poses]"`.
        ValueError: an unknown kind, no embeddings, or tracks of a recording that do not fit together.
    """
    check_kind(kind)
    found = _by_file(embeddings)
    folder = check_writable(folder)
    names = names or file_names(track.recording for track in embeddings)
    names = {_as_utf8(recording): name for recording, name in names.items()}
    suffix, _, write = KINDS[kind]
    paths = [folder / f"{names[name]}{'_group' * pooled}_embeddings{suffix}" for name, pooled in found]
    for path, tracks in zip(paths, found.values(), strict=True):
        with atomic_write(path) as file:
            write(file, tracks)
    return paths


def check_kind(kind: str) -> None:
    """Raise ValueError for an unknown kind of files, ImportError for a package that it needs."""
    if kind not in KINDS:
        raise ValueError(f"there is no kind {kind!r} of files; choose from {', '.join(KINDS)}")
    for package in KINDS[kind][1]:
        optional(package, purpose=f"writing {kind}")


def file_names(recordings: Iterable[str]) -> dict[str, str]:
    """A safe name for the file of each recording, different from all others and from those of their groups."""
    names = list(dict.fromkeys(recordings))
    return dict(zip(names, _distinct(map(safe, names), ("", f"_{GROUP}")), strict=True))


def _by_file(embeddings: Iterable[TrackEmbedding]) -> dict[tuple[str, bool], Tracks]:
    """Tracks by recording and whether they are pooled."""
    found: dict[tuple[str, bool], Tracks] = {}
    for track in embeddings:
        track = replace(track, recording=_as_utf8(track.recording), individual=_as_utf8(track.individual))
        tracks = found.setdefault((track.recording, track.individual == GROUP), {})
        tracks.setdefault(track.individual, []).append(track)
    if not found:
        raise ValueError("there are no embeddings to write")
    for tracks in found.values():
        first = _first(tracks)
        for parts in tracks.values():
            parts.sort(key=lambda part: part.first_frame)
            _check_fit(parts, first)
    return found


def _check_fit(parts: list[TrackEmbedding], first: TrackEmbedding) -> None:
    whose = f"the embeddings of {parts[0].individual!r} in {first.recording!r}"
    for part in parts:
        if part.columns != first.columns or list(part.embs) != list(first.embs):
            raise ValueError(f"{whose} have other encoders or channels than those of {first.individual!r} there")
        if part.fps != first.fps:
            raise ValueError(f"{whose} have {part.fps} frames per second, others there {first.fps}")
    for before, after in itertools.pairwise(parts):
        if after.first_frame < before.first_frame + len(before):
            raise ValueError(f"{whose} are given twice at frame {after.first_frame}")


def _first(tracks: Tracks) -> TrackEmbedding:
    return next(iter(tracks.values()))[0]


def _blocks(tracks: Tracks) -> Iterator[tuple[tuple[str, str], np.ndarray, np.ndarray, np.ndarray]]:
    """The table of a file in blocks of one individual: its names, frame (n,), time_s (n,) and channels (n, C)."""
    for part in itertools.chain.from_iterable(tracks.values()):
        for first in range(0, len(part), ROWS):
            rows = slice(first, first + ROWS)
            yield (part.recording, part.individual), part.frame[rows], part.time_s[rows], part.table(rows)


def _write_csv(file: BinaryIO, tracks: Tracks) -> None:
    columns = _first(tracks).columns
    pattern = ",".join(["", "%d", "%r", *["%.9g"] * len(columns)]) + "\n"  # 9 digits give back any float32
    file.write(f"{_csv_cells([*ABOUT, *columns])}\n".encode())
    for names, frame, time_s, table in _blocks(tracks):
        start, numbers = _csv_cells(names), zip(frame.tolist(), time_s.tolist(), table.tolist(), strict=True)
        lines = (start + (pattern % (at, time, *row)).replace("nan", "") for at, time, row in numbers)
        file.write("".join(lines).encode())


def _csv_cells(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()


def _write_parquet(file: BinaryIO, tracks: Tracks) -> None:
    pyarrow, parquet = optional("pyarrow"), optional("pyarrow.parquet")
    types = dict(zip(ABOUT, (pyarrow.string(), pyarrow.string(), pyarrow.int64(), pyarrow.float64()), strict=True))
    schema = pyarrow.schema(types | dict.fromkeys(_first(tracks).columns, pyarrow.float32()))
    with parquet.ParquetWriter(file, schema, use_dictionary=list(ABOUT[:2])) as writer:
        for names, frame, time_s, table in _blocks(tracks):
            about = [*(pyarrow.repeat(name, len(frame)) for name in names), frame]
            time = pyarrow.array(time_s, from_pandas=True)  # NaN is written as null
            writer.write_table(pyarrow.table([*about, time, *np.ascontiguousarray(table.T)], schema=schema))


def _write_hdf5(file: BinaryIO, tracks: Tracks) -> None:
    first = _first(tracks)
    with optional("h5py").File(file, "w") as content:
        content.attrs.update(recording=first.recording, fps=first.fps or np.nan)
        for name, (individual, parts) in zip(_distinct(map(safe, tracks)), tracks.items(), strict=True):
            group = content.create_group(name)
            group.attrs.update(individual=individual, first_frame=parts[0].first_frame)
            group["frame"] = np.concatenate([part.frame for part in parts])
            group["time_s"] = np.concatenate([part.time_s for part in parts])
            for encoder in first.embs:
                group[encoder] = np.concatenate([part.embs[encoder] for part in parts])


def _write_npz(file: BinaryIO, tracks: Tracks) -> None:
    first = _first(tracks)
    frame, fps = np.unique(np.concatenate([p.frame for parts in tracks.values() for p in parts])), first.fps or np.nan
    arrays = {"individuals": list(tracks), "frame": frame, "time_s": frame / fps}
    arrays |= {"fps": fps, "recording": first.recording}
    with zipfile.ZipFile(file, "w") as archive:
        for name in (*arrays, *first.embs):  # in memory is the array of one encoder at a time
            array = arrays[name] if name in arrays else _side_by_side(tracks, name, frame)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array))


def _side_by_side(tracks: Tracks, encoder: str, frame: np.ndarray) -> np.ndarray:
    found = np.full((len(tracks), len(frame), _first(tracks).embs[encoder].shape[1]), np.nan, np.float32)
    for rows, parts in zip(found, tracks.values(), strict=True):
        for part in parts:
            start = np.searchsorted(frame, part.first_frame)
            rows[start : start + len(part)] = part.embs[encoder]
    return found


KINDS = {  # suffix, packages needed, writer
    "csv": (".csv", (), _write_csv),
    "parquet": (".parquet", ("pyarrow",), _write_parquet),
    "hdf5": (".h5", ("h5py",), _write_hdf5),
    "npz": (".npz", (), _write_npz),
}


def safe(name: str) -> str:
    """A name that every file system takes and that stays in its folder; `_` replaces other characters."""
    name = UNSAFE.sub("_", unicodedata.normalize("NFC", _as_utf8(name))).strip(" .")
    return name.encode()[:160].decode(errors="ignore") or "unnamed"  # of 255 bytes; endings follow


def _as_utf8(name: str) -> str:
    """The name with `?` for characters that UTF-8 (undecodable bytes of file names) or HDF5 (NUL) cannot hold."""
    return name.encode(errors="replace").decode().replace("\0", "?")


def _distinct(names: Iterable[str], suffixes: Sequence[str] = ("",)) -> list[str]:
    """Number names that a file system may confuse with an earlier one, with any of the suffixes."""
    taken: set[str] = set()
    found = []
    for name in names:
        for choice in itertools.chain([name], (f"{name}_{i}" for i in itertools.count(2))):
            files = {f"{choice}{suffix}".casefold() for suffix in suffixes}
            if not taken & files:
                break
        taken |= files
        found.append(choice)
    return found
