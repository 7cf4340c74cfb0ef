"""Parts of recordings, listed in a CSV, as recordings of their own.

Axes: A individuals, T frames, K keypoints, d coordinates.
"""

import csv
import io
import itertools
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from bams.recordings.recording import Recording
from bams.storage.files import existing, short

COLUMNS = ("recording", "start", "end")
WHOLE = re.compile(r"([+-]?\d{1,15})(\.0*)?")  # also as tables with empty cells elsewhere are written
SHOWN = 5  # names in an error


class Segment(NamedTuple):
    """A part of a recording: its frames from `start` to `end`, both included, as its file numbers them."""

    recording: str
    start: int
    end: int


def read_segments(path: str | Path) -> list[Segment]:
    """Segments from a CSV, row by row.

    Its first row names the columns, among them `recording`, `start` and `end`, in any order and case. Cells are
    separated by commas, semicolons or tabs; empty rows and spaces around cells do not count. Text is UTF-8, or as
    Excel writes it (UTF-8 or UTF-16 with a mark, Windows-1252, a row `sep=;` before the header).

    Args:
        path: `start` and `end` are whole frame numbers, both included: 0 and 99 are the first 100 frames of a file
            that counts from 0.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no CSV, a column is missing, there is no row, or what must be a number is none.
    """
    path = existing(path)
    lines = io.StringIO(_text(path), newline=None).readlines()
    first = next((line for line in lines if line.strip()), "")
    reader = csv.reader(lines, delimiter=max(",;\t", key=first.count), skipinitialspace=True)
    try:
        found = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise ValueError(f"{path} is not a readable CSV: {short(error)}") from error
    rows = [(line, cells) for line, cells in found if any(cells) and cells[0].lower() != "sep="]
    names = [name.lower() for name in rows[0][1]] if rows else []
    if any(names.count(column) != 1 for column in COLUMNS):
        shown = ", ".join(name[:30] for name in names[:SHOWN]) or "empty"
        raise ValueError(f"{path} needs each of the columns {', '.join(COLUMNS)} once; its first row is {shown}")
    at = [names.index(column) for column in COLUMNS]
    segments = [_segment(cells, at, f"row {line} of {path}") for line, cells in rows[1:]]
    if not segments:
        raise ValueError(f"{path} has no row below its header: list a segment in each")
    return segments


def _text(path: Path) -> str:
    content = path.read_bytes()
    if content.startswith((b"PK", b"\xd0\xcf\x11\xe0")):
        raise ValueError(f"{path} is an Excel file: save it as CSV")
    encodings = ("utf-16",) if content.startswith((b"\xff\xfe", b"\xfe\xff")) else ("utf-8-sig", "cp1252")
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ValueError(f"{path} is not a text file: save the segments as CSV in UTF-8")


def _segment(cells: Sequence[str], at: Sequence[int], where: str) -> Segment:
    recording, *numbers = [cells[i] if i < len(cells) else "" for i in at]
    if not recording:
        raise ValueError(f"{where} names no recording")
    found = [WHOLE.fullmatch(number) for number in numbers]
    if None in found:
        raise ValueError(
            f"{where} has the start {numbers[0][:30]!r} and the end {numbers[1][:30]!r}; expected frame numbers"
        )
    return Segment(recording, *(int(match[1]) for match in found))


def cut_segments(recordings: Sequence[Recording], segments: Sequence[Segment]) -> list[Recording]:
    """The segments as recordings of their own.

    They keep the name and count frames as the whole did, so that `bams.exports` puts what comes of them together
    by recording, at the frames' own numbers. Their arrays are parts of those of the whole, not copies.

    Args:
        recordings: may be parts themselves; those of which there is no segment are left out.
        segments: in any order, at least two frames each, of which no two share a frame.

    Returns:
        parts in the order of the recordings, those of one by frame.

    Raises:
        ValueError: a segment is of none of the recordings, not within it, too short, or overlaps another.
    """
    by_name: dict[str, list[Segment]] = {}
    for segment in sorted(segments):
        _check_within(segment, recordings)
        by_name.setdefault(segment.recording, []).append(segment)
    for ordered in by_name.values():
        for before, after in itertools.pairwise(ordered):
            if after.start <= before.end:
                raise ValueError(
                    f"the segments {_words(before)} and {_words(after)} overlap; the end is the last frame of a "
                    "segment, and the next begins after it"
                )
    return [
        _cut(recording, segment)
        for recording in recordings
        for segment in by_name.get(recording.name, [])
        if _holds(recording, segment)
    ]


def _check_within(segment: Segment, recordings: Sequence[Recording]) -> None:
    named = [recording for recording in recordings if recording.name == segment.recording]
    if not named:
        names = sorted({recording.name for recording in recordings})
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        known = ", ".join(map(repr, names[:SHOWN])) + more
        raise ValueError(f"there is no recording {segment.recording!r} for a segment; there are {known or 'none'}")
    if segment.start >= segment.end:
        raise ValueError(f"the segment {_words(segment)} does not end after its start; movement needs two frames")
    if not any(_holds(recording, segment) for recording in named):
        spans = ", ".join(f"{recording.first_frame} to {_last(recording)}" for recording in named[:SHOWN])
        raise ValueError(f"the segment {_words(segment)} is not within the recording's frames, {spans}")


def _holds(recording: Recording, segment: Segment) -> bool:
    return recording.first_frame <= segment.start and segment.end <= _last(recording)


def _last(recording: Recording) -> int:
    return recording.first_frame + recording.keypoints.shape[1] - 1


def _words(segment: Segment) -> str:
    return f"{segment.start} to {segment.end} of {segment.recording!r}"


def _cut(recording: Recording, segment: Segment) -> Recording:
    rows = slice(segment.start - recording.first_frame, segment.end + 1 - recording.first_frame)
    return replace(
        recording,
        keypoints=recording.keypoints[:, rows],
        confidence=None if recording.confidence is None else recording.confidence[:, rows],
        first_frame=segment.start,
    )
