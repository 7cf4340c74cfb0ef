"""Tables of text as people have them: of any encoding, separator and decimal mark that a spreadsheet writes."""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bams.storage.files import existing, optional, short

if TYPE_CHECKING:
    import pandas

HEAD = 2**22  # bytes that tell how a file is written; a header of thousands of columns is long
FIRST_ROWS = 50
TAIL = 2**20  # bytes that hold the last rows
UTF_16 = {"utf-16-le": rb"\xff\xfe|[^\0]\0[^\0]\0", "utf-16-be": rb"\xfe\xff|\0[^\0]\0[^\0]"}  # first bytes
UNNAMED = re.compile(r"Unnamed: \d+(_level_\d+)?")  # what pandas writes for an empty cell of a header
DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(e[+-]?\d+)?", re.IGNORECASE)
Row = tuple[int, list[str]]  # the number of a line in the file, from 1, and its cells without spaces around


@dataclass(frozen=True)
class Layout:
    """How a table of text is written, and its first rows with anything in them."""

    encoding: str
    separator: str
    rows: list[Row]


def layout_of(path: Path) -> Layout:
    """How a table of text is written, from its beginning; ValueError if it is no text."""
    with existing(path).open("rb") as file:
        head = file.read(HEAD)
    text, encoding = _decoded(head, path, whole=len(head) < HEAD)
    separator = _separator(text)
    return Layout(encoding, separator, list(islice(_rows(text, separator, path), FIRST_ROWS)))


def read_rows(path: Path) -> list[Row]:
    """All rows of a small table with anything in them."""
    text, _ = _decoded(existing(path).read_bytes(), path, whole=True)
    return list(_rows(text, _separator(text), path))


def _decoded(content: bytes, path: Path, whole: bool) -> tuple[str, str]:
    """The text, and its encoding: UTF-8, UTF-16, or that of Excel; what is not whole may end within a character."""
    binary = content.startswith((b"PK", b"\xd0\xcf\x11\xe0"))  # Excel's own files
    utf_16 = [encoding for encoding, first in UTF_16.items() if re.match(first, content)]
    if not binary and (utf_16 or b"\0" not in content):
        for encoding in utf_16 or ["utf-8", "cp1252"]:
            try:
                text = codecs.getincrementaldecoder(encoding)().decode(content, whole and not utf_16)
                return text.removeprefix("\ufeff"), encoding
            except UnicodeDecodeError:
                continue
    raise ValueError(f"{path} is not a text file: save the table as CSV in UTF-8")


def _separator(text: str) -> str:
    """The mark that parts each of the first rows into most cells."""
    lines = [line for line in islice(io.StringIO(text, newline=""), FIRST_ROWS) if line.strip()][:4]
    unquoted = [re.sub(r'"[^"]*"', "", line) for line in lines]

    def found(mark: str) -> tuple[int, int]:
        counts = [line.count(mark) for line in unquoted]
        return min(counts, default=0), sum(counts)

    return max(",;\t", key=found)


def _rows(text: str, separator: str, path: Path) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    try:
        for cells in reader:
            row = ["" if UNNAMED.fullmatch(cell) else cell.strip() for cell in cells]
            if any(row) and row[0].lower() != "sep=":  # Excel's first row
                yield reader.line_num, row
    except csv.Error as error:
        raise ValueError(f"{path} is not a readable CSV: {short(error)}") from error


def read_body(path: Path, layout: Layout, header: int) -> "pandas.DataFrame":
    """The rows below the first `header` rows, columns from 0, by the number of the line in the file.

    Empty cells are NaN; empty rows at the end are left out. Raises ValueError if the last row is cut off, or a column
    other than the first has values and no name in the header.
    """
    pandas = optional("pandas")
    above = layout.rows[header - 1][0]  # lines
    width = max(len(cells) for _, cells in layout.rows)
    decimal_comma = any(DECIMAL_COMMA.fullmatch(cell) for _, cells in layout.rows[header:] for cell in cells)
    _check_last_row(path, layout, width)
    with path.open(encoding=layout.encoding, newline="") as file:
        for _ in range(above):
            file.readline()
        try:
            table = pandas.read_csv(
                file,
                header=None,
                names=range(width),
                index_col=False,
                sep=layout.separator,
                decimal="," if decimal_comma else ".",
                skipinitialspace=True,
                skip_blank_lines=False,
                low_memory=False,  # a column has one type
            )
        except pandas.errors.EmptyDataError:
            return pandas.DataFrame(columns=range(width), dtype=float)
        except pandas.errors.ParserError as error:
            if found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error)):
                expected, line, cells = map(int, found.groups())
                raise ValueError(f"row {above + line} has {cells} cells instead of {expected}") from error
            raise ValueError(f"it is damaged or cut off: {short(error)}") from error
    table.index += above + 1
    named = {i for _, cells in layout.rows[:header] for i, cell in enumerate(cells) if cell}
    for i in range(1, width):
        if i not in named and table[i].notna().any():
            said = f"column {i + 1} has a value in row {table.index[table[i].notna()][0]} and no name in the header"
            raise ValueError(f"{said}; name it, or clear it")
    filled = table.notna().any(axis=1).to_numpy()
    return table.iloc[: len(filled) - int(filled[::-1].argmax())] if filled.any() else table.iloc[:0]


def _check_last_row(path: Path, layout: Layout, width: int) -> None:
    """Raise ValueError if the last row has fewer cells than the row before it, which pandas would fill with NaN."""
    with path.open("rb") as file:
        start = max(0, path.stat().st_size - TAIL) // 2 * 2  # characters of UTF-16 have two bytes
        file.seek(start)
        text = file.read().decode(layout.encoding, "ignore")
    lines = list(io.StringIO(text, newline=""))[start > 0 :]
    rows = [row for row in csv.reader(lines, delimiter=layout.separator, skipinitialspace=True) if any(row)]
    if len(rows) > 1 and len(rows[-1]) < min(len(rows[-2]), width):
        raise ValueError(f"its last row has {len(rows[-1])} cells, not {len(rows[-2])}; it is damaged or cut off")


def as_numbers(cells: "pandas.Series", header: set[str]) -> np.ndarray:
    """A column of numbers, float64; ValueError says which row holds something else, or the `header` once more."""
    pandas = optional("pandas")
    if pandas.api.types.is_numeric_dtype(cells) and not pandas.api.types.is_bool_dtype(cells):
        return cells.to_numpy(float)
    given = cells.dropna().astype(str).str.strip()
    given = given[~given.str.lower().isin(("", "nan", "na", "none", "null"))]  # pandas knows them without spaces
    numbers = pandas.to_numeric(given.str.replace(",", ".", regex=False), errors="coerce")
    if numbers.isna().any():
        line = numbers.index[numbers.isna()][0]
        if given[line] in header:
            raise ValueError(f"row {line} is a header again; recordings follow one another in this file: split it")
        raise ValueError(f"row {line} has {given[line][:30]!r} where a number is expected")
    return numbers.reindex(cells.index).to_numpy(float)
