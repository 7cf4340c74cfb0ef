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
from operator import itemgetter
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
            number in the recording), time_s (empty if `fps` is not known), tracked (share of its keypoints observed,
            empty if not known) and those of `TrackEmbedding.table`. CSV is UTF-8, with an empty cell for NaN and enough
            digits to give back the same float32.
            `hdf5`: attributes `recording`, `fps` (NaN = not known) and `frame_step`; for each individual a group with
            the attributes `individual` and `first_frame` and the arrays `frame`, `time_s` and `tracked` (T,) and, by
            encoder name, (T, C).
            `npz`: by encoder name (A, T, C) float32, NaN where an individual has no embedding; `tracked` (A, T),
            `individuals` (A,), `frame` (T,), `time_s` (T,), `fps`, `frame_step` and `recording`.
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
        if part.frame_step != first.frame_step:
            raise ValueError(f"{whose} have a frame_step of {part.frame_step}, others there {first.frame_step}")
    for before, after in itertools.pairwise(parts):
        if after.first_frame <= before.first_frame + (len(before) - 1) * before.frame_step:
            raise ValueError(f"{whose} are given twice at frame {after.first_frame}")


def _first(tracks: Tracks) -> TrackEmbedding:
    return next(iter(tracks.values()))[0]


def _tracked(part: TrackEmbedding) -> np.ndarray:
    return np.full(len(part), np.nan if part.tracked is None else part.tracked, np.float32)


def _blocks(tracks: Tracks) -> Iterator[tuple[tuple[str, str], list[np.ndarray], np.ndarray]]:
    """The table of a file in blocks of one individual: its names; frame, time_s and tracked (n,); channels (n, C)."""
    for part in itertools.chain.from_iterable(tracks.values()):
        about = part.frame, part.time_s, _tracked(part)
        for first in range(0, len(part), ROWS):
            rows = slice(first, first + ROWS)
            yield (part.recording, part.individual), [column[rows] for column in about], part.table(rows)


def _write_csv(file: BinaryIO, tracks: Tracks) -> None:
    columns = _first(tracks).columns
    pattern = ",".join(["", "%r", "%r", "%s", *["%.9g"] * len(columns)]) + "\n"  # 9 digits give back any float32
    file.write(f"{_csv_cells([*ABOUT, *columns])}\n".encode())
    for names, (frame, time_s, tracked), table in _blocks(tracks):
        start = _csv_cells(names)
        cells = zip(frame.tolist(), time_s.tolist(), tracked.astype(str).tolist(), table.tolist(), strict=True)
        lines = (start + (pattern % (*about, *row)).replace("nan", "") for *about, row in cells)
        file.write("".join(lines).encode())


def _csv_cells(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()


def _write_parquet(file: BinaryIO, tracks: Tracks) -> None:
    pyarrow, parquet = optional("pyarrow"), optional("pyarrow.parquet")
    number = np.result_type(*(part.frame.dtype for parts in tracks.values() for part in parts))
    text, frame = pyarrow.string(), pyarrow.from_numpy_dtype(number)
    types = dict(zip(ABOUT, (text, text, frame, pyarrow.float64(), pyarrow.float32()), strict=True))
    schema = pyarrow.schema(types | dict.fromkeys(_first(tracks).columns, pyarrow.float32()))
    with parquet.ParquetWriter(file, schema, use_dictionary=list(ABOUT[:2])) as writer:
        for names, (frame, *known), table in _blocks(tracks):
            about = [*(pyarrow.repeat(name, len(frame)) for name in names), frame.astype(number)]
            about += [pyarrow.array(values, from_pandas=True) for values in known]  # NaN is written as null
            writer.write_table(pyarrow.table([*about, *np.ascontiguousarray(table.T)], schema=schema))


def _write_hdf5(file: BinaryIO, tracks: Tracks) -> None:
    first = _first(tracks)
    with optional("h5py").File(file, "w") as content:
        content.attrs.update(recording=first.recording, fps=first.fps or np.nan, frame_step=first.frame_step)
        for name, (individual, parts) in zip(_distinct(map(safe, tracks)), tracks.items(), strict=True):
            group = content.create_group(name)
            group.attrs.update(individual=individual, first_frame=parts[0].first_frame)
            group["frame"] = np.concatenate([part.frame for part in parts])
            group["time_s"] = np.concatenate([part.time_s for part in parts])
            group["tracked"] = np.concatenate([_tracked(part) for part in parts])
            for encoder in first.embs:
                group[encoder] = np.concatenate([part.embs[encoder] for part in parts])


def _write_npz(file: BinaryIO, tracks: Tracks) -> None:
    first = _first(tracks)
    frame, fps = np.unique(np.concatenate([p.frame for parts in tracks.values() for p in parts])), first.fps or np.nan
    arrays = {"individuals": list(tracks), "frame": frame, "time_s": frame / (fps * first.frame_step)}
    arrays |= {"fps": fps, "frame_step": first.frame_step, "recording": first.recording}
    values = {"tracked": _tracked} | {name: itemgetter(name) for name in first.embs}
    with zipfile.ZipFile(file, "w") as archive:
        for name in (*arrays, *values):  # in memory is the array of one encoder at a time
            array = arrays[name] if name in arrays else _side_by_side(tracks, values[name], frame)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array))


def _side_by_side(tracks: Tracks, values: Callable[[TrackEmbedding], np.ndarray], frame: np.ndarray) -> np.ndarray:
    """What `values` gives of each part, (n,) or (n, C), as (A, T) or (A, T, C); NaN in other frames."""
    found = np.full((len(tracks), len(frame), *values(_first(tracks)).shape[1:]), np.nan, np.float32)
    for rows, parts in zip(found, tracks.values(), strict=True):
        for part in parts:
            rows[np.searchsorted(frame, part.frame)] = values(part)
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
