"""Wrong command lines and wrong files: each is refused with one sentence, before any work, and leaves nothing."""

import contextlib
import functools
import io
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

import docstring_parser

import custom_dataset
import custom_dataset_w_labels
import fruit_flies
import mouse_triplets
import simulated_quadrupeds
from bams.mabe import report
from bams.models.bams import BAMS
from torture import command_files
from torture.command_rows import ACCEPTED, WRONG, Row
from torture.tally import Tally

# A wrong command line is a good one, with something wrong behind it; of a flag given twice the last one counts.
SCRIPTS: dict[str, tuple[Callable[[Sequence[str]], None], str]] = {
    "custom_dataset.py": (custom_dataset.main, command_files.OWN),
    "custom_dataset_w_labels.py": (custom_dataset_w_labels.main, command_files.LABELLED),
    "mouse_triplets.py": (mouse_triplets.main, command_files.MICE),
    "fruit_flies.py": (fruit_flies.main, command_files.FLIES),
    "simulated_quadrupeds.py": (simulated_quadrupeds.main, command_files.ROBOTS),
}
LONGEST = 400  # characters of a sentence
# Each command line parses the same docstrings, the help of its flags, which would take half of the time here.
PARSED_ONCE = mock.patch.object(
    docstring_parser, "parse_from_object", functools.cache(docstring_parser.parse_from_object)
)


class WorkBegunError(Exception):
    """The network is used, or a submission scored, which no wrong command line should come to."""


def run() -> Tally:
    """All rows, in a folder of their own."""
    tally = Tally("wrong command lines")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        command_files.prepare()
        for script, rows in WRONG.items():
            for row in rows:
                found = refusal(script, row)
                tally.tried += 1
                tally.refused += not found
                tally.wrong += [f"{script} {row.line}: {found}"] if found else []
        for script, rows in ACCEPTED.items():
            for row in rows:
                found = acceptance(script, row)
                tally.tried += 1
                tally.harmless += not found
                tally.wrong += [f"{script} {row.line}: {found}"] if found else []
    return tally


def refusal(script: str, row: Row) -> str:
    """What is amiss in how a wrong command line is refused in the current folder; nothing if nothing is."""
    before = tree()
    with no_work(), without_module(row.hidden):
        status, err = call(script, row)
    lines = err.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    changed = {path for path, _ in before.items() ^ tree().items()}
    if status != 2:
        return f"it ended with {status!r}, not 2, and said {err[-LONGEST:]!r}"
    if len(errors) != 1 or lines[-1] != errors[0]:
        return f"not one sentence at the end of {err[-LONGEST:]!r}"
    if "Traceback" in err or "Warning:" in err or "<class" in err:
        return f"words for programmers in {err[-LONGEST:]!r}"
    if row.says not in errors[0]:
        return f"no {row.says!r} in {errors[0]!r}"
    if len(errors[0]) > LONGEST:
        return f"{len(errors[0])} characters: {errors[0]!r}"
    return f"it left {', '.join(sorted(changed))}" if changed else ""


def acceptance(script: str, row: Row) -> str:
    """What is amiss in how an odd but good command line is taken; nothing if nothing is."""
    with tempfile.TemporaryDirectory() as folder:
        put = f"--output_dir {folder}/out --log_dir {folder}/runs"
        status, err = call(script, row._replace(line=f"{put} {row.line}"))
    return f"it ended with {status!r} and said {err[-LONGEST:]!r}" if status != 0 or "error: " in err else ""


def call(script: str, row: Row) -> tuple[Any, str]:
    """The exit status of a command line, or what it raised instead, and its stderr."""
    main, good = SCRIPTS[script]
    err = io.StringIO()
    try:
        with PARSED_ONCE, contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
            main([*shlex.split(good), *shlex.split(row.line)])
    except SystemExit as stop:
        return stop.code, err.getvalue()
    except Exception as error:
        return error, err.getvalue()
    return 0, err.getvalue()


def tree() -> dict[str, tuple[int, int]]:
    """Size and time of every file and folder below the current one."""
    found = {}
    for folder, _, files in os.walk("."):
        found[folder] = 0, 0  # its own time changes with every temporary file in it
        for file in files:
            at = os.stat(path := f"{folder}/{file}")
            found[path] = at.st_size, at.st_mtime_ns
    return found


@contextlib.contextmanager
def no_work() -> Iterator[None]:
    """Nothing is embedded, trained on or scored."""

    def begun(*_: Any, **__: Any) -> None:
        raise WorkBegunError("work has begun")

    with mock.patch.object(BAMS, "encode", begun), mock.patch.object(report, "score", begun):
        yield


@contextlib.contextmanager
def without_module(name: str) -> Iterator[None]:
    """A package is not installed."""
    with mock.patch.dict(sys.modules, {name: None}) if name else contextlib.nullcontext():
        yield
