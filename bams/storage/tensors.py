"""Files of tensors, which `torch.load(path, weights_only=True)` reads, with a digest of all their bytes."""

import hashlib
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from bams.storage import files

MARK = b"bams blake2b "  # before the digest, in the comment of the zip file that a file of torch is
DIGITS = 64


def write(path: str | Path, content: Any) -> Path:
    """Write containers, numbers, text and tensors, whole or not at all."""
    memory = io.BytesIO()  # torch itself would end the process where the disk is full
    torch.save(content, memory)
    whole = memory.getvalue()[:-2] + (len(MARK) + DIGITS).to_bytes(2, "little") + MARK
    with files.atomic_write(path) as file:
        file.write(whole)
        file.write(_digest(whole))
    return Path(path)


def read(path: str | Path) -> Any:
    """What a file of torch holds, with or without a digest, on the CPU; damaged files raise nearly any exception."""
    content = Path(path).read_bytes()
    head, mark, digest = content.rpartition(MARK)
    if mark and _digest(head + mark) != digest:
        raise ValueError("it has changed since it was written")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        damaged = archive.testzip()
        # torch reads arbitrary numbers from a part that is marked as a folder
        damaged = damaged or next((part.filename for part in archive.infolist() if part.external_attr & 0x10), None)
    if damaged is not None:
        raise ValueError(f"its part {damaged} has changed")
    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch advises to run the code in the file
        raise ValueError("it holds something other than numbers, text and tensors") from error


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGITS // 2).hexdigest().encode()
