"""Tables of text as people have them: of any encoding, separator and decimal mark that a spreadsheet writes."""

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bams.storage.files import existing, optional, short

if TYPE_CHECKING:
    import pandas

HEAD = 2**16  # bytes that tell how a file is written
DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(e[+-]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Layout:
    """How a table of text is written, and its first rows."""

    encoding: str
    separator: str
    decimal: str
    rows: list[list[str]]


def layout_of(path: Path) -> Layout:
    """How a table of text is written, from its first rows; ValueError if it is no text."""
    with existing(path).open("rb") as file:
        head = file.read(HEAD)
    text = decoded(head, path)
    lines = text.splitlines()[:-1] if len(head) == HEAD else text.splitlines()
    rows, separator = _cells(lines, path)
    of_numbers = (cell for _, row in rows for cell in row)
    decimal = "," if any(map(DECIMAL_COMMA.fullmatch, of_numbers)) else "."
    return Layout(_encoding(head), separator, decimal, [row for _, row in rows])


def read_rows(path: Path) -> list[tuple[int, list[str]]]:
    """The rows of a small table with anything in them: the number of the line and the cells, without spaces around."""
    return _cells(decoded(existing(path).read_bytes(), path).splitlines(), path)[0]


def read_body(path: Path, layout: Layout, header: int) -> "pandas.DataFrame":
    """The rows below the first `header` rows; cells of the first column as text, empty ones NaN; empty rows dropped."""
    pandas = optional("pandas")
    table = pandas.read_csv(
        path,
        skiprows=header,
        header=None,
        names=range(max(map(len, layout.rows))),
        dtype={0: str},
        encoding=layout.encoding,
        sep=layout.separator,
        decimal=layout.decimal,
        skipinitialspace=True,
    )
    return table.dropna(how="all")


def decoded(content: bytes, path: Path) -> str:
    """Text in UTF-8 or UTF-16, or in the encoding of Excel; ValueError if it is none."""
    if content.startswith((b"PK", b"\xd0\xcf\x11\xe0")):  # Excel's own files
        raise ValueError(f"{path} is not a text file: save the table as CSV in UTF-8")
    return content.decode(_encoding(content), errors="ignore")


def _encoding(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        content[: len(content) - 4].decode("utf-8-sig")  # the end may cut a character
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"


def _cells(lines: list[str], path: Path) -> tuple[list[tuple[int, list[str]]], str]:
    first = next((line for line in lines if line.strip()), "")
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO("\n".join(lines)), delimiter=separator, skipinitialspace=True)
    try:
        found = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise ValueError(f"{path} is not a readable CSV: {short(error)}") from error
    rows = [(line, cells) for line, cells in found if any(cells) and cells[0].lower() != "sep="]  # Excel's first row
    return rows, separator
