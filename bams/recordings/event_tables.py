"""Tables of events that somebody scored, as BORIS and others write them."""

import glob
import math
import re
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bams.recordings.recording import listed
from bams.recordings.text import read_rows

OTHER = "other"  # the class of frames without an event, in recordings that have events
HALF = 0.0005  # seconds: times of BORIS are rounded to milliseconds
BEHAVIOURS = ("behaviour", "behavior", "label")
RECORDINGS = ("media file name", "media file path", "media file", "recording", "video")
SECONDS = (("start (s)", "stop (s)"), ("start_s", "end_s"), ("start_s", "stop_s"), ("start_time", "end_time"))
FRAMES = (("start", "end"), ("start", "stop"), ("start_frame", "end_frame"))
UNKNOWN = ("", "NA", "Not found", "No focal subject")  # as BORIS writes it
Row = tuple[str, dict[str, str]]  # where it is, for messages, and its cells by the name of the column


class Event(NamedTuple):
    """A behaviour from `start` up to, but without, `end`; a point event has the same start and end.

    They are numbers of frames as in the recording's file or, if `seconds`, the time since its frame 0. `individual` is
    None if the event is of the whole recording. `fps` are the frames per second of the video, None = not known. If
    `every_frame`, the table has a row for each frame, so that frames without an event are not labelled.
    """

    recording: str
    start: float
    end: float
    behaviour: str
    individual: str | None = None
    seconds: bool = False
    fps: float | None = None
    every_frame: bool = False


def read_events(path: str | Path) -> list[Event]:
    """Events from the rows of a CSV, of all CSVs in a folder, or of those that a pattern such as `events/*.csv` names.

    The names of the columns, in any case and order, tell what the rows are:

    - the aggregated or tabular events that BORIS exports, with times in seconds;
    - `behaviour` with `start` and `end`: frame numbers in the recording's file, both included; or with `start_s` and
      `end_s`: seconds, also as h:m:s;
    - `frame` and `behaviour`: one row per frame, where an empty behaviour is not labelled; instead of the behaviour, a
      column of 0 and 1 for each. `time` in seconds may stand for `frame`.

    The last two may have the columns `recording`, without which the file's name is that of the recording, and
    `individual`. Instead of `behaviour`, `behavior` and `label` are read too. Raises ValueError if a row is unclear.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in (".csv", ".tsv"))
    else:
        files = [path] if path.exists() or not glob.has_magic(str(path)) else sorted(map(Path, glob.glob(str(path))))
    if not files:
        raise FileNotFoundError(f"there is no .csv or .tsv with events at {path}")
    return [event for file in files for event in _read_file(file)]


def _read_file(path: Path) -> list[Event]:
    if path.suffix.lower() == ".boris":
        raise ValueError(f"{path} is a project of BORIS: export its aggregated events as CSV, and give that file")
    cells = read_rows(path)
    headers = [[cell.lower() for cell in row] for _, row in cells]
    of_time = {"time", "frame", *(name for pair in (*SECONDS, *FRAMES) for name in pair)}
    header = next((i for i, names in enumerate(headers) if of_time & {*names} and len(names) > 1), None)
    if header is None:
        wanted = "recording, start, end, behaviour; or frame, behaviour; or those of BORIS"
        shown = listed([name[:30] for name in headers[0]]) if headers else "none"
        raise ValueError(f"{path} has no row with the names of columns ({wanted}); its first row is {shown}")
    names = headers[header]
    above = {row[0].lower(): row[1] for _, row in cells[:header] if len(row) > 1}  # as older BORIS writes them
    rows = [(f"row {line} of {path}", above | dict(zip(names, row, strict=False))) for line, row in cells[header + 1 :]]
    if not rows:
        raise ValueError(f"{path} has no row below its header: there is no event in it")
    if "time" in names and {"status", "behavior type"} & {*names}:
        return _in_videos(_paired(rows), path)
    for start, end in SECONDS:
        if {start, end} <= {*names}:
            ends = [start if _of(row[1], "behavior type").upper() == "POINT" else end for row in rows]
            spans = [(row, _seconds(row, start), _seconds(row, last)) for row, last in zip(rows, ends, strict=True)]
            return _in_videos(spans, path)
    for start, end in FRAMES:
        if {start, end} <= {*names}:
            return [_event(row, _frame(row, start), _frame(row, end) + 1, path) for row in rows]
    if not {"time", "frame"} & {*names}:
        raise ValueError(f"{path} needs both the start and the end of events; its columns are {listed(names)}")
    return _of_each_frame(rows, dict(zip(names, cells[header][1], strict=True)), path)


def _paired(rows: list[Row]) -> list[tuple[Row, float, float]]:
    """Events from a row for each START, STOP and POINT: the row that starts it, and the times of its start and end."""
    found: list[tuple[Row, float, float]] = []
    running: dict[tuple, tuple[Row, float]] = {}
    for row in rows:
        where, cells = row
        time, status = _seconds(row, "time"), _of(cells, "status", "behavior type").upper()
        key = _of(cells, "observation id", *RECORDINGS), _of(cells, "individual", "subject"), _of(cells, *BEHAVIOURS)
        if status == "POINT":
            found.append((row, time, time))
        elif status == "START" and key not in running:
            running[key] = row, time
        elif status == "STOP" and key in running:
            found.append((*running.pop(key), time))
        else:
            raise ValueError(f"{where} has the status {status!r} without its pair; expected START and STOP, or POINT")
    if running:
        (where, _), _ = next(iter(running.values()))
        raise ValueError(f"{where} starts an event that no row stops; add its STOP in BORIS")
    return found


def _in_videos(spans: list[tuple[Row, float, float]], path: Path) -> list[Event]:
    """Events in seconds since the start of their video; BORIS counts through all videos of an observation."""
    events, named = [], {}
    for (_, cells), _, _ in spans:
        named.setdefault(cells.get("observation id"), {})[_video(cells, path)] = None
    for row, start, end in spans:
        where, cells = row
        source = re.sub(r"player #\d+:\s*", "", cells.get("source", "").split("|")[0])  # the first of several views
        videos = [part.strip() for part in source.split(";") if part.strip() not in UNKNOWN]
        videos = videos or list(named[cells["observation id"]] if "observation id" in cells else [_video(cells, path)])
        lengths, rates = _numbers(cells, "media duration (s)"), _numbers(cells, "fps", "fps (frame/s)") or [None]
        if len(videos) > 1 and (len(lengths) != len(videos) or None in lengths):
            said = f"{where} is of an observation of several videos, {listed(videos)}, whose durations are not given"
            raise ValueError(f"{said}; export the events with BORIS 8 or later")
        offset = _seconds(row, "time offset (s)") if cells.get("time offset (s)") else 0.0  # which BORIS has added
        event = _event(row, start - offset, end - offset, path)
        starts = np.cumsum([0.0, *lengths[: len(videos) - 1]])
        first, last = np.searchsorted(starts[1:], [event.start + HALF, event.end - HALF], side="right")
        for i in range(first, max(first, last) + 1):  # an event may go on in the next video
            begin, until = max(event.start, starts[i]) if i else event.start, event.end if i >= last else starts[i + 1]
            of_video = {"recording": videos[i], "start": begin - starts[i], "end": until - starts[i]}
            events.append(event._replace(**of_video, seconds=True, fps=(rates * len(videos))[i]))
    return events


def _of_each_frame(rows: list[Row], names: dict[str, str], path: Path) -> list[Event]:
    """Runs of rows with the same behaviour, from one row per frame or per step of time."""
    unit = "frame" if "frame" in names else "time"
    others = ("", "frame", "time", "observation id", "individual", "subject", *RECORDINGS)
    columns = [name for name in names if name not in others]
    wide = not {*BEHAVIOURS} & {*names}
    runs: dict[tuple[str, str, str | None], list[list[float]]] = {}
    places = [_frame(row, unit) if unit == "frame" else _seconds(row, unit) for row in rows]
    step = 1 if unit == "frame" else next((b - a for a, b in pairwise(places) if b > a), 1.0)
    for row, place in zip(rows, places, strict=True):
        where, cells = row
        shown = [_of(cells, *BEHAVIOURS)]
        if wide:
            values = {name: cells.get(name, "") for name in columns}
            if not {*values.values()} <= {"0", "1", "0.0", "1.0", ""}:
                said = f"a column behaviour, or 0 and 1 in the columns {listed(columns)}"
                raise ValueError(f"{where} does not tell the behaviour; expected {said}")
            shown = [names[name] for name, value in values.items() if value[:1] == "1"]
            shown = shown or [OTHER] * any(value[:1] == "0" for value in values.values())
        recording, individual = _video(cells, path), _individual(cells)
        for behaviour in filter(None, shown):
            spans = runs.setdefault((recording, behaviour, individual), [])
            if spans and abs(spans[-1][1] - place) < step / 2:
                spans[-1][1] = place + step
            else:
                spans.append([place, place + step])
    of_all = {"seconds": unit == "time", "every_frame": True}
    return [Event(run[0], *span, *run[1:], **of_all) for run, spans in runs.items() for span in spans]


def _event(row: Row, start: float, end: float, path: Path) -> Event:
    where, cells = row
    if end < start:
        raise ValueError(f"{where} ends before its start")
    behaviour = _of(cells, *BEHAVIOURS)
    if not behaviour:
        raise ValueError(f"{where} names no behaviour; expected one in a column behaviour, behavior or label")
    return Event(_video(cells, path), start, end, behaviour, _individual(cells))


def _individual(cells: dict[str, str]) -> str | None:
    return _of(cells, "individual", "subject") or None


def _video(cells: dict[str, str], path: Path) -> str:
    return _of(cells, *RECORDINGS, "observation id") or path.stem


def _of(cells: dict[str, str], *columns: str) -> str:
    """The first cell of these columns that says anything, or ''."""
    for name in columns:
        if cells.get(name, "") not in UNKNOWN:
            return cells[name]
    return ""


def _numbers(cells: dict[str, str], *columns: str) -> list[float | None]:
    """Numbers of the videos of the first player; None where one is not known."""
    parts = [part.strip().replace(",", ".") for part in _of(cells, *columns).split("|")[0].split(";")]
    return [float(part) if re.fullmatch(r"\d+(\.\d*)?", part) else None for part in parts if part]


def _seconds(row: Row, column: str) -> float:
    where, text = row[0], row[1].get(column, "")
    try:
        parts = [float(part) for part in reversed(text.replace(",", ".").split(":"))]
        if all(map(math.isfinite, parts)):
            return sum(part * 60**i for i, part in enumerate(parts))
    except ValueError:
        pass
    raise ValueError(f"{where} has {text[:30]!r} in the column {column}; expected seconds, or h:m:s")


def _frame(row: Row, column: str) -> int:
    where, text = row[0], row[1].get(column, "")
    if not re.fullmatch(r"[+-]?\d{1,15}([.,]0*)?", text):
        said = f"{where} has {text[:30]!r} in the column {column}; expected a frame number"
        raise ValueError(f"{said} (columns of seconds are named start_s and end_s)")
    return int(re.split("[.,]", text)[0])
