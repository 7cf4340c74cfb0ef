"""Wrong command lines and files, also such as would run code: one sentence, before any work, and nothing is left."""

import contextlib
import io
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import custom_dataset
import custom_dataset_w_labels
import fruit_flies
import mouse_triplets
import simulated_quadrupeds
from bams import BAMS
from bams.app import command
from torture import command_files
from torture.command_rows import RIGHT, WRONG, Row
from torture.tally import Tally

# A row is appended to a right command line; the last of two equal flags counts.
SCRIPTS: dict[str, tuple[Callable[[Sequence[str]], None], str]] = {
    "custom_dataset.py": (custom_dataset.main, command_files.OWN),
    "custom_dataset_w_labels.py": (custom_dataset_w_labels.main, command_files.LABELLED),
    "mouse_triplets.py": (mouse_triplets.main, command_files.MICE),
    "fruit_flies.py": (fruit_flies.main, command_files.FLIES),
    "simulated_quadrupeds.py": (simulated_quadrupeds.main, command_files.ROBOTS),
    "bams": (command.main, ""),
}
LONGEST = 400  # characters of a sentence


def run() -> Tally:
    """Try all rows in a temporary folder."""
    tally = Tally("wrong command lines and files")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        command_files.prepare()
        for rows, tried in ((WRONG, refusal), (RIGHT, acceptance)):
            found = {(script, row): tried(script, row) for script, some in rows.items() for row in some}
            wrong = [f"{script} {row.line}: {what}" for (script, row), what in found.items() if what]
            tally.tried += len(found)
            tally.refused += (len(found) - len(wrong)) * (rows is WRONG)
            tally.harmless += (len(found) - len(wrong)) * (rows is RIGHT)
            tally.wrong += wrong
    return tally


def refusal(script: str, row: Row) -> str:
    """What is wrong with how a wrong command line is refused in the current folder; empty if nothing is."""
    before = tree()
    no_work = mock.patch.object(BAMS, "encode", side_effect=AssertionError("work has begun"))
    with no_work, mock.patch.dict(sys.modules, {row.hidden: None} if row.hidden else {}):
        status, err = call(script, row)
    sentences = [line for line in err.splitlines() if line.startswith("error: ")]
    if status != 2:
        return f"it ended with {status!r}, not 2, and said {err[-LONGEST:]!r}"
    if len(sentences) != 1 or err.splitlines()[-1] != sentences[0]:
        return f"not one sentence at the end of {err[-LONGEST:]!r}"
    if "Traceback" in err or "Warning:" in err or "<class" in err:
        return f"words for programmers in {err[-LONGEST:]!r}"
    if row.names not in sentences[0]:
        return f"no {row.names!r} in {sentences[0]!r}"
    if len(sentences[0]) > LONGEST:
        return f"{len(sentences[0])} characters: {sentences[0]!r}"
    changed = sorted({path for path, _ in before ^ tree()})
    return f"it left {', '.join(changed)}" if changed else ""


def acceptance(script: str, row: Row) -> str:
    """What is wrong with how an odd but right command line is taken; empty if nothing is."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "places.yaml").write_text(f"output_dir: {folder}/out\nlog_dir: {folder}/runs\n")
        status, err = call(script, Row(f"--config {folder}/places.yaml {row.line}"))
    return f"it ended with {status!r} and said {err[-LONGEST:]!r}" if status != 0 or "error: " in err else ""


def call(script: str, row: Row) -> tuple[Any, str]:
    """The exit status of a command line, or the exception that it raised, and what it wrote to stderr."""
    main, good = SCRIPTS[script]
    err = io.StringIO()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
            main([*shlex.split(good), *shlex.split(row.line)])
    except SystemExit as stop:
        return stop.code, err.getvalue()
    except Exception as error:
        return error, err.getvalue()
    return 0, err.getvalue()


def tree() -> set[tuple[str, int]]:
    """Every file below the current folder with its time of change, and every folder."""
    return {(str(path), path.is_file() and path.stat().st_mtime_ns) for path in Path().rglob("*")}
