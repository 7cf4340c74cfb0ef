"""Embeddings as tables that R, pandas, MATLAB and numpy read, one file per recording.

Axes: A individuals, T frames, C embedding channels of one encoder.
"""

import csv
import io
import itertools
import re
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, count
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from bams.embed.tracks import ABOUT, GROUP, TrackEmbedding
from bams.storage.files import atomic_write, check_writable, optional

ROWS = 2**14  # of a table that are made at once


Tracks = dict[str, list[TrackEmbedding]]  # of one file: by individual its parts, by frame


class Kind(NamedTuple):
    """Suffix of files of a kind, packages it needs, and what writes it."""

    suffix: str
    needs: tuple[str, ...]
    write: Callable[[BinaryIO, Tracks], None]


def write_embeddings(
    folder: str | Path,
    embeddings: Sequence[TrackEmbedding],
    kind: str,
    names: Mapping[str, str] | None = None,
) -> list[Path]:
    """Write embeddings, one file per recording and one more for its pooled individuals.

    The files are `NAME_embeddings.EXT` and `NAME_group_embeddings.EXT`, see `file_names`. Each file
    appears whole or not at all, in place of one of the same name. Tracks of the same individual in the same
    recording are parts of it, and are put together by frame.

    Args:
        folder: is made if it is not there.
        embeddings: in any order, which that of individuals in a file follows.
        kind: `csv` or `parquet`: a row per individual and frame, individual after individual, with the columns
            recording, individual, frame (its number in the recording), time_s (empty where `fps` is not known) and
            those of `TrackEmbedding.table`. CSV is in UTF-8, has an empty cell for NaN, and as many digits as give
            back the same float32.
            `hdf5`: attributes `recording` and `fps` (NaN = not known); a group per individual, with attributes
            `individual` and `first_frame`, and the arrays `frame` (T,), `time_s` (T,) and by encoder name (T, C).
            `npz`: by encoder name (A, T, C) float32; `individuals` (A,), `frame` (T,), `time_s` (T,), `fps` and
            `recording`. T is of all frames that any individual has embeddings of, NaN where another has none.
        names: NAME by recording, of more recordings than these, which are written one after the other.

    Returns:
        paths of the files.

    Raises:
        ImportError: what the kind needs is not installed: `pip install "bams[poses]"`.
        OSError: the folder cannot be written.
        ValueError: there is no such kind, no embedding, or tracks of a recording do not fit each other.
    """
    suffix, _, write = check_kind(kind)
    found = _by_file(embeddings)
    folder = check_writable(folder)
    names = names or file_names(track.recording for track in embeddings)
    names = {as_utf8(recording): name for recording, name in names.items()}
    paths = [folder / f"{names[name]}{'_group' * pooled}_embeddings{suffix}" for name, pooled in found]
    for path, tracks in zip(paths, found.values(), strict=True):
        with atomic_write(path) as file:
            write(file, tracks)
    return paths


def check_kind(kind: str) -> Kind:
    """A kind of files that can be written here.

    Raises:
        ImportError, ValueError: a package for it is not installed, or there is no such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"there is no kind {kind!r} of files; choose from {', '.join(KINDS)}")
    for module in KINDS[kind].needs:
        optional(module, purpose=f"writing {kind}")
    return KINDS[kind]


def file_names(recordings: Iterable[str]) -> dict[str, str]:
    """Names of the files of recordings, of which none is another's or that of another's group."""
    names = list(dict.fromkeys(recordings))
    return dict(zip(names, distinct(map(safe, names), ("", f"_{GROUP}")), strict=True))


def _by_file(embeddings: Iterable[TrackEmbedding]) -> dict[tuple[str, bool], Tracks]:
    """Tracks by recording, and whether they are pooled."""
    found: dict[tuple[str, bool], Tracks] = {}
    for track in embeddings:
        track = replace(track, recording=as_utf8(track.recording), individual=as_utf8(track.individual))
        tracks = found.setdefault((track.recording, track.individual == GROUP), {})
        tracks.setdefault(track.individual, []).append(track)
    if not found:
        raise ValueError("there are no embeddings to write")
    for tracks in found.values():
        for parts in tracks.values():
            parts.sort(key=lambda part: part.first_frame)
        _check_fit(tracks)
    return found


def _check_fit(tracks: Tracks) -> None:
    first = _first(tracks)
    for individual, parts in tracks.items():
        whose = f"the embeddings of {individual!r} in {first.recording!r}"
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


class Rows(NamedTuple):
    """Rows of a table, all of one individual: n of what `TrackEmbedding` has T of."""

    names: tuple[str, str]  # recording, individual
    frame: np.ndarray
    time_s: np.ndarray
    table: np.ndarray


def _rows(tracks: Tracks) -> Iterator[Rows]:
    """The table of a file, as much of it at once as memory surely holds."""
    for part in itertools.chain.from_iterable(tracks.values()):
        frame, time_s = part.frame, part.time_s
        for first in range(0, len(part), ROWS):
            rows = slice(first, first + ROWS)
            yield Rows((part.recording, part.individual), frame[rows], time_s[rows], part.table(rows))


def _write_csv(file: BinaryIO, tracks: Tracks) -> None:
    columns = _first(tracks).columns
    pattern = ",".join(["", "%d", "%r", *["%.9g"] * len(columns)]) + "\n"  # 9 digits give back any float32
    file.write(f"{_csv_cells([*ABOUT, *columns])}\n".encode())
    for rows in _rows(tracks):
        names = _csv_cells(rows.names)
        numbers = zip(rows.frame.tolist(), rows.time_s.tolist(), rows.table.tolist(), strict=True)
        lines = (names + (pattern % (frame, time, *row)).replace("nan", "") for frame, time, row in numbers)
        file.write("".join(lines).encode())


def _csv_cells(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()


def _write_parquet(file: BinaryIO, tracks: Tracks) -> None:
    pyarrow, parquet = optional("pyarrow"), optional("pyarrow.parquet")
    about = zip(ABOUT, (pyarrow.string(), pyarrow.string(), pyarrow.int64(), pyarrow.float64()), strict=True)
    schema = pyarrow.schema([*about, *((column, pyarrow.float32()) for column in _first(tracks).columns)])
    with parquet.ParquetWriter(file, schema, use_dictionary=list(ABOUT[:2])) as writer:
        for rows in _rows(tracks):
            names = [pyarrow.repeat(name, len(rows.frame)) for name in rows.names]
            time = pyarrow.array(rows.time_s, from_pandas=True)  # NaN is written as null
            channels = [pyarrow.array(column) for column in np.ascontiguousarray(rows.table.T)]
            writer.write_table(pyarrow.table([*names, pyarrow.array(rows.frame), time, *channels], schema=schema))


def _write_hdf5(file: BinaryIO, tracks: Tracks) -> None:
    first = _first(tracks)
    with optional("h5py").File(file, "w") as content:
        content.attrs.update(recording=first.recording, fps=first.fps or np.nan)
        for name, (individual, parts) in zip(distinct(map(safe, tracks)), tracks.items(), strict=True):
            group = content.create_group(name)
            group.attrs.update(individual=individual, first_frame=parts[0].first_frame)
            group["frame"] = np.concatenate([part.frame for part in parts])
            group["time_s"] = np.concatenate([part.time_s for part in parts])
            for encoder, emb in first.embs.items():
                array = group.create_dataset(encoder, (sum(map(len, parts)), emb.shape[1]), np.float32)
                start = 0
                for part in parts:
                    array[start : start + len(part)] = part.embs[encoder]
                    start += len(part)


def _write_npz(file: BinaryIO, tracks: Tracks) -> None:
    first = _first(tracks)
    frame = np.unique(np.concatenate([part.frame for parts in tracks.values() for part in parts]))
    about = {
        "individuals": np.array(list(tracks)),
        "frame": frame,
        "time_s": frame / (first.fps or np.nan),
        "fps": np.array(first.fps or np.nan),
        "recording": np.array(first.recording),
    }
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in about.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array)
        for name, emb in first.embs.items():
            shape = len(tracks), len(frame), emb.shape[1]
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                header = {"descr": np.dtype(np.float32).str, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(member, header)
                for parts in tracks.values():  # one individual at a time is in memory
                    rows = np.full(shape[1:], np.nan, np.float32)
                    for part in parts:
                        at = np.searchsorted(frame, part.first_frame)
                        rows[at : at + len(part)] = part.embs[name]
                    member.write(rows.data)


KINDS = {
    "csv": Kind(".csv", (), _write_csv),
    "parquet": Kind(".parquet", ("pyarrow",), _write_parquet),
    "hdf5": Kind(".h5", ("h5py",), _write_hdf5),
    "npz": Kind(".npz", (), _write_npz),
}

LONGEST = 160  # bytes of a safe name; file systems take 255, with endings and what is written meanwhile
UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{port}{i}" for port in ("COM", "LPT") for i in range(10))}  # of Windows


def as_utf8(name: str) -> str:
    """A name without what UTF-8 (bytes of a file's name that are no text) and HDF5 (NUL) do not take."""
    return name.encode(errors="replace").decode().replace("\0", "?")


def safe(name: str) -> str:
    """A name that every file system takes, and that leads nowhere else; `_` stands for what they do not take."""
    name = UNSAFE.sub("_", unicodedata.normalize("NFC", as_utf8(name))).strip(" .")
    name = name.encode()[:LONGEST].decode(errors="ignore")
    if name.partition(".")[0].strip().upper() in DEVICES:
        name = f"_{name}"
    return name or "unnamed"


def distinct(names: Iterable[str], suffixes: Sequence[str] = ("",)) -> list[str]:
    """Names with a number after those that a file system may take for one before, with any of the suffixes."""
    taken: set[str] = set()
    found = []
    for name in names:
        for one in chain([name], (f"{name}_{i}" for i in count(2))):
            files = {f"{one}{suffix}".casefold() for suffix in suffixes}
            if not taken & files:
                break
        taken |= files
        found.append(one)
    return found
