"""Damaged files of every kind that the library reads, by the thousand, each read where a crash does no harm."""

import faulthandler
import os
import pickle
import resource
import signal
import sys
import tempfile
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from torture.originals import Original, write_originals
from torture.tally import Tally

BATCH = 500  # cases for one child
MEMORY = 2**30  # bytes that a child may take, beyond those that it starts with
SECONDS = 5  # of the processor, for one case
NUMBERS = [2**k + d for k in (0, 7, 8, 15, 16, 31, 32, 40, 62, 63) for d in (-1, 0)]
WORDS = [
    "-1",
    "0",
    "1e999",
    "-1e308",
    "nan",
    "inf",
    "9" * 30,
    "9" * 5000,
    "0x10",
    "1_0",
    "1.5",
    "",
    "-0",
    "true",
    "[]",
]
WORDS += ["&a [*a]", "!!python/name:os.system", "\N{SUPERSCRIPT TWO}", "{}", "null", '"']


def run(cases: int = 10_000, seed: int = 0) -> Tally:
    """Damage valid files at random and read them; the same by the same seed.

    A file is refused with a sentence that names it, or read: then content that has checksums must be what it was,
    and other content is what the damaged file holds. All else is wrong: other errors, tracebacks, crashes, reading
    without end, and taking more than a GiB of memory.

    Args:
        cases: damaged files.
        seed: of all draws.
    """
    tally = Tally("damaged files", tried=cases)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        originals = write_originals(folder)
        contents = {kind: original.path.read_bytes() for kind, original in originals.items()}
        case = 0
        while case < cases:
            last = min(case + BATCH, cases)
            case = _read_batch(originals, contents, range(case, last), seed, tally)
    return tally


def _read_batch(
    originals: dict[str, Original], contents: dict[str, bytes], cases: range, seed: int, tally: Tally
) -> int:
    """Let a child read; the case after the last that it came to, or after the one that it died of."""
    sys.stdout.flush()
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(here)
        status = 1
        try:
            _child(originals, contents, cases, seed, there)
            status = 0
        finally:
            os._exit(status)
    os.close(there)
    done = 0
    with open(here, encoding="utf-8") as pipe:
        for line in pipe:
            outcome, _, what = line.rstrip("\n").partition(" ")
            done += 1
            if outcome == "wrong":
                tally.wrong.append(what)
            else:
                setattr(tally, outcome, getattr(tally, outcome) + 1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == 0:
        return cases.stop
    reason = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    what = "took too long" if status == -signal.SIGPROF else f"ended the process by {reason}"
    kind, _ = damaged(contents, cases[done], seed)
    originals[kind].path.write_bytes(contents[kind])
    tally.wrong.append(f"case {cases[done]}, {kind}: {what}")
    return cases[done] + 1


def _child(originals: dict[str, Original], contents: dict[str, bytes], cases: range, seed: int, pipe: int) -> None:
    """Read each case, and write a line about it."""
    sink = os.memfd_create("stderr")
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    faulthandler.disable()
    known: dict[str, bytes] = {}
    for case in cases:
        kind, content = damaged(contents, case, seed)
        original = originals[kind]
        if kind not in known:
            known[kind] = fingerprint(original.read(original.path))
        try:
            original.path.write_bytes(content)  # at its own place, as its name may count
            os.ftruncate(sink, os.lseek(sink, 0, os.SEEK_SET))
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            outcome = _outcome(original, known[kind])
            signal.setitimer(signal.ITIMER_PROF, 0)
        finally:
            original.path.write_bytes(contents[kind])
        sys.stderr.flush()
        said = os.pread(sink, 10_000, 0).decode(errors="replace")
        if "Traceback" in said or "Warning" in said:
            outcome = f"wrong it printed {said[:300]}"
        name, _, what = outcome.partition(" ")
        line = f"{name} case {case}, {kind}: {' '.join(what.split())}\n" if name == "wrong" else f"{name}\n"
        os.write(pipe, line.encode(errors="replace"))


def _outcome(original: Original, known: bytes) -> str:
    try:
        found = original.read(original.path)
    except (ValueError, OSError, ImportError) as error:
        said = str(error)
        if "\n" in said or len(said) > 10_000:
            return f"wrong not one sentence: {said[:300]}"
        if str(original.path) not in said and str(original.path.parent) not in said:
            return f"wrong the file is not named: {said[:300]}"
        return "refused"
    except BaseException as error:
        return f"wrong {type(error).__name__}: {str(error)[:300]}"
    if original.sealed and fingerprint(found) != known:
        return "wrong other content than its checksums"
    return "harmless"


def fingerprint(value: Any) -> bytes:
    """Bytes that are the same for the same content."""
    if isinstance(value, torch.nn.Module):
        return fingerprint([value.config, value.state_dict()])
    if isinstance(value, torch.Tensor):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        return repr((value.dtype.str, value.shape)).encode() + value.tobytes()
    if is_dataclass(value):
        return fingerprint([getattr(value, field.name) for field in fields(value)])
    if isinstance(value, dict):
        return fingerprint([list(map(repr, value)), list(value.values())])
    if isinstance(value, list | tuple):
        return pickle.dumps([fingerprint(item) for item in value])
    return repr(value).encode()


def damaged(contents: dict[str, bytes], case: int, seed: int) -> tuple[str, bytes]:
    """The kind of a case, and the content of its file."""
    rng = np.random.default_rng((seed, case))
    kinds = list(contents)
    kind = kinds[case % len(kinds)]
    content = bytearray(contents[kind])
    for _ in range(rng.choice([1, 1, 2, 4])):
        donor = contents[kinds[rng.integers(len(kinds))] if rng.random() < 0.2 else kind]
        _damage(content, donor, rng)
    return kind, bytes(content)


def _damage(content: bytearray, donor: bytes, rng: np.random.Generator) -> None:
    """One change, in place."""
    at = _place(len(content), rng)
    length = int(rng.choice([1, 2, 4, 8, 64, 1000]))
    other = _place(len(donor), rng)
    match rng.integers(9):
        case 0:  # bits
            for place in {_place(len(content), rng) for _ in range(rng.choice([1, 3, 30]))} if content else ():
                content[place] ^= 1 << rng.integers(8)
        case 1:
            content[at : at + 1] = bytes([rng.choice([0, 1, 46, 127, 128, 255, rng.integers(256)])])
        case 2:
            del content[at:]
        case 3:
            del content[at : at + length]
        case 4:
            content[at:at] = rng.bytes(length)
        case 5:  # a piece of this or another file, over what is there, or between it
            content[at : at + length * rng.integers(2)] = donor[other : other + length]
        case 6:
            content[at:at] = content[at : at + length]
        case 7:
            number = NUMBERS[rng.integers(len(NUMBERS))]
            width = next(n for n in (1, 2, 4, 8) if number < 256**n) if rng.random() < 0.5 else 8
            content[at : at + width] = number.to_bytes(width, str(rng.choice(["little", "big"])))
        case 8:
            _change_number(content, at, rng)


def _place(size: int, rng: np.random.Generator) -> int:
    """Anywhere, or in the beginning or the end, where files say what they are."""
    span = min(size, 400) if rng.random() < 0.5 else size
    at = int(rng.integers(max(span, 1)))
    return size - 1 - at if rng.random() < 0.4 and size else at


def _change_number(content: bytearray, at: int, rng: np.random.Generator) -> None:
    """An extreme number or odd word in place of the next one that is written in digits."""
    digits = b"0123456789.-"
    while at < len(content) and content[at] not in digits:
        at += 1
    end = at
    while end < len(content) and content[end] in digits:
        end += 1
    content[at:end] = WORDS[rng.integers(len(WORDS))].encode()
