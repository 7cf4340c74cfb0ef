"""Names that every file system takes, and tells apart."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import chain, count

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
