"""One table about recordings: what was done to which animal, and which recordings belong together."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bams.recordings.names import match_names
from bams.recordings.recording import Recording, listed
from bams.recordings.text import read_rows

KEYS = ("recording", "individual", "group")
NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)(e[+-]?\d+)?", re.IGNORECASE)
CODE = re.compile(r"[+-]?0\d")  # numbers are not written with a 0 before them, names such as 007 are
UNKNOWN = ("", "na", "nan")


class About(NamedTuple):
    """A row of the table: `values` by the name of the column, text or a number, '' or NaN where the cell is empty."""

    where: str
    recording: str
    individual: str | None
    group: str | None
    values: dict[str, str | float]


def read_about(path: str | Path) -> list[About]:
    """Rows of a CSV about recordings, or about individuals in them; ValueError if it is not one.

    Its first row names the columns: `recording`, perhaps `individual` and `group` (see `Recording`), and others of any
    names, such as treatment, sex or day. A column is of numbers if all its cells are, or are empty, NA or NaN; those
    that begin with a 0, such as 007, are text.
    """
    path = Path(path).expanduser()
    rows = read_rows(path)
    names = [name.lower() if name.lower() in KEYS else name for name in rows[0][1]] if rows else []
    shown = listed([name[:30] for name in names]) or "empty"
    if "recording" not in names or len({*names} - {"recording", "individual", ""}) == 0:
        raise ValueError(f"{path} needs the column recording and others about it; its first row is {shown}")
    if twice := [name for name in names if name and names.count(name) > 1]:
        raise ValueError(f"{path} has the column {twice[0]} more than once; its first row is {shown}")
    table = []
    for line, cells in rows[1:]:
        if any(cells[len(names) :]):
            raise ValueError(f"row {line} of {path} has {len(cells)} cells for {len(names)} columns; quote its commas")
        table.append((f"row {line} of {path}", dict(zip(names, cells + [""] * len(names), strict=False))))
        if not table[-1][1]["recording"]:
            raise ValueError(f"row {line} of {path} names no recording")
    if not table:
        raise ValueError(f"{path} has no row below its header: write a row for each recording or individual")
    columns = {name: _numbers([cells[name] for _, cells in table]) for name in names if name not in (*KEYS, "")}
    return [
        About(where, *(cells.get(key) or None for key in KEYS), {name: column[i] for name, column in columns.items()})
        for i, (where, cells) in enumerate(table)
    ]


def _numbers(cells: list[str]) -> list[float] | list[str]:
    """The numbers of a column; its text if it has anything else."""
    known = [cell for cell in cells if cell.lower() not in UNKNOWN]
    if not known or not all(NUMBER.fullmatch(cell) and not CODE.match(cell) for cell in known):
        return cells
    return [float(cell.replace(",", ".")) if cell in known else np.nan for cell in cells]


def with_about(recordings: Sequence[Recording], rows: Sequence[About]) -> list[Recording]:
    """Recordings with the values of a table in `about`, and its groups.

    Each value is (A,) for the individuals if any row names one, else () for the recording; text, or float64. A row
    without an individual is about all individuals of the recording. What no row is about is missing: '' or NaN.
    Recordings are matched as in `bams.recordings.names`; what finds no match is said. Raises ValueError if nothing
    matches, rows contradict each other, or name individuals that are not in the recording.
    """
    found = match_names((row.recording for row in rows), recordings, "rows")
    each = any(row.individual is not None for row in rows)
    missing = {name: "" if isinstance(value, str) else np.nan for name, value in rows[0].values.items()}
    described = []
    for recording in recordings:
        some = [row for row in rows if found.get(row.recording) == recording.name]
        names = recording.individuals if each else [None]
        for row in some:
            if row.individual not in (None, *names):
                said = f"{row.where} names the individual {row.individual}, and {recording.name} has {listed(names)}"
                raise ValueError(f"{said}; leave it empty for all individuals")
        about = {}
        for name, empty in missing.items():
            cells = [(row, row.values[name]) for row in some]
            column = [
                _only([cell for cell in cells if cell[0].individual in (None, one)], name, empty) for one in names
            ]
            about[name] = np.array(column if each else column[0])
        group = _only([(row, row.group or "") for row in some], "group", "") or recording.group
        described.append(replace(recording, about={**recording.about, **about}, group=group))
    return described


def _only(cells: list[tuple[About, str | float]], name: str, empty: str | float) -> str | float:
    """The value in all cells that are not empty."""
    known = [(row, value) for row, value in cells if value != "" and value == value]  # NaN differs from itself
    for row, value in known[1:]:
        if value != known[0][1]:
            said = f"the {name} of one recording is {known[0][1]} in {known[0][0].where}, and {value} in {row.where}"
            raise ValueError(f"{said}; give it once")
    return known[0][1] if known else empty
