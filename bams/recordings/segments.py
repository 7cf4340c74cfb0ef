"""Parts of recordings, listed in a CSV, as recordings of their own."""

import csv
import io
import re
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from bams.recordings.recording import Recording, listed
from bams.storage.files import existing, short

COLUMNS = ("recording", "start", "end")
WHOLE = re.compile(r"([+-]?\d{1,15})(\.0*)?")  # spreadsheets may write whole numbers with decimals


class Segment(NamedTuple):
    """The frames of a recording from `start` to `end`, both included, by their numbers in its file."""

    recording: str
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.start} to {self.end} of {self.recording!r}"


def read_segments(path: str | Path) -> list[Segment]:
    """Segments from the rows of a CSV; ValueError if a column is missing, or a frame is not a whole number.

    Its first row names the columns, among them `recording`, `start` and `end`, in any order and case. Cells are
    separated by commas, semicolons or tabs. Text is UTF-8, or as Excel writes it.
    """
    path = existing(path)
    lines = io.StringIO(_text(path), newline=None).readlines()
    first = next((line for line in lines if line.strip()), "")
    reader = csv.reader(lines, delimiter=max(",;\t", key=first.count), skipinitialspace=True)
    try:
        found = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise ValueError(f"{path} is not a readable CSV: {short(error)}") from error
    rows = [(line, cells) for line, cells in found if any(cells) and cells[0].lower() != "sep="]  # Excel's first row
    names = [name.lower() for name in rows[0][1]] if rows else []
    if any(names.count(column) != 1 for column in COLUMNS):
        shown = listed([name[:30] for name in names]) or "empty"
        raise ValueError(f"{path} needs each of the columns {', '.join(COLUMNS)} once; its first row is {shown}")
    if len(rows) == 1:
        raise ValueError(f"{path} has no row below its header: list a segment in each row")
    segments = []
    for line, cells in rows[1:]:
        recording, *numbers = [dict(zip(names, cells, strict=False)).get(column, "") for column in COLUMNS]
        if not recording:
            raise ValueError(f"row {line} of {path} names no recording")
        if not all(map(WHOLE.fullmatch, numbers)):
            said = f"the start {numbers[0][:30]!r} and the end {numbers[1][:30]!r}"
            raise ValueError(f"row {line} of {path} has {said}; expected frame numbers")
        segments.append(Segment(recording, *(int(number.partition(".")[0]) for number in numbers)))
    return segments


def _text(path: Path) -> str:
    content = path.read_bytes()
    encodings = ("utf-16",) if content.startswith((b"\xff\xfe", b"\xfe\xff")) else ("utf-8-sig", "cp1252")
    if not content.startswith((b"PK", b"\xd0\xcf\x11\xe0")):  # Excel's own files
        for encoding in encodings:
            with suppress(UnicodeDecodeError):
                return content.decode(encoding)
    raise ValueError(f"{path} is not a text file: save the segments as CSV in UTF-8")


def cut_segments(recordings: Sequence[Recording], segments: Sequence[Segment]) -> list[Recording]:
    """The segments as recordings of their own, in the order of the recordings and frames; their arrays are views.

    They keep the name of the whole recording and its frame numbers, so that exports of them are put together again.
    Raises ValueError if a segment is in none of the recordings, has fewer than two frames, or overlaps another.
    """
    ordered = sorted(segments)
    for segment in ordered:
        named = [recording for recording in recordings if recording.name == segment.recording]
        if not named:
            names = listed([repr(name) for name in sorted({recording.name for recording in recordings})])
            raise ValueError(f"there is no recording {segment.recording!r} for a segment; there are {names or 'none'}")
        if segment.start >= segment.end:
            raise ValueError(f"the segment {segment} does not end after its start; movement needs two frames")
        if not any(_holds(recording, segment) for recording in named):
            spans = listed([f"{one.frames[0]} to {one.frames[-1]}" for one in named])
            raise ValueError(f"the segment {segment} is not within the recording's frames, {spans}")
    for before, after in pairwise(ordered):
        if before.recording == after.recording and after.start <= before.end:
            raise ValueError(f"the segments {before} and {after} overlap; the end is the last frame of a segment")
    return [_cut(recording, segment) for recording in recordings for segment in ordered if _holds(recording, segment)]


def _holds(recording: Recording, segment: Segment) -> bool:
    return recording.name == segment.recording and all(frame in recording.frames for frame in segment[1:])


def _cut(recording: Recording, segment: Segment) -> Recording:
    frames = slice(segment.start - recording.first_frame, segment.end + 1 - recording.first_frame)
    return recording.changed(lambda values: values[:, frames], first_frame=segment.start)
