"""Files of torch: containers, numbers, text and plain tensors, with a digest of all bytes.

`torch.load(path, weights_only=True)` reads what is written here. What is read here may come from anywhere:
`torch.load` itself looks at no checksum, nor whether a file holds as many numbers as it says.
"""

import hashlib
import io
import math
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
import torch

from bams.storage import files
from bams.storage.arrays import check_members, short_shape
from bams.storage.pickles import DataUnpickler

MARK = b"bams blake2b "  # before the digest, in the comment of the zip file that a file of torch is
DIGITS = 64
STORAGES = {
    f"{name}Storage": dtype
    for name, dtype in (
        *(
            ("Float", torch.float32),
            ("Double", torch.float64),
            ("Half", torch.float16),
            ("BFloat16", torch.bfloat16),
        ),
        *(("Long", torch.int64), ("Int", torch.int32), ("Short", torch.int16), ("Char", torch.int8)),
        *(("Byte", torch.uint8), ("Bool", torch.bool)),
    )
}


def write(path: str | Path, content: Any) -> Path:
    """Write containers, numbers, text and tensors as torch does, whole or not at all.

    Raises:
        OSError: the folder cannot be written, or the disk is full (on which torch itself would end the process).
    """
    memory = io.BytesIO()
    torch.save(content, memory)
    whole = memory.getvalue()
    comment_length = (len(MARK) + DIGITS).to_bytes(2, "little")
    whole = whole[:-2] + comment_length + MARK
    with files.atomic_write(path) as file:
        file.write(whole)
        file.write(_digest(whole))
    return Path(path)


def read(path: str | Path) -> Any:
    """What a file of torch holds; all tensors are in this computer's memory.

    Raises:
        Exception: nearly any; it is damaged, or holds something else than data.
    """
    with Path(path).open("rb") as file:
        size = _check_digest(file)
        with zipfile.ZipFile(file) as archive:
            members = check_members(archive, file, size)
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise ValueError("it is compressed, which torch's files are not")
            damaged = archive.testzip()
            if damaged is not None:
                raise ValueError(f"its part {damaged} has changed")
            folder = members[0].filename.partition("/")[0] if members else ""
            names = {member.filename for member in members}
            if f"{folder}/byteorder" in names and archive.read(f"{folder}/byteorder") != b"little":
                raise ValueError("it was written on a computer with another order of bytes")
            if f"{folder}/data.pkl" not in names:
                raise ValueError("it is a zip file, and not one of torch")
            pickled = io.BytesIO(archive.read(f"{folder}/data.pkl"))
            return _TensorUnpickler(pickled, archive, folder).load()


class _TensorUnpickler(DataUnpickler):
    """Reads data with tensors, whose numbers lie in an archive."""

    dispatch: ClassVar = DataUnpickler.dispatch | {
        pickle.BINPERSID: pickle._Unpickler.dispatch[pickle.BINPERSID[0]],
    }

    def __init__(self, file: BinaryIO, archive: zipfile.ZipFile, folder: str):
        super().__init__(file)
        self.archive, self.folder = archive, folder
        self.storages: dict[str, torch.Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        """A dtype in place of a storage's class; our own functions in place of those of torch."""
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        own: dict[tuple[str, str], Callable] = {
            ("torch._utils", "_rebuild_tensor_v2"): _as_tensor,
            ("torch._utils", "_rebuild_parameter"): _as_parameter,
        }
        return own[module, name] if (module, name) in own else super().find_class(module, name)

    def persistent_load(self, pid: Any) -> torch.Tensor:
        """The numbers of one storage (n,)."""
        kind, dtype, key, _, count = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype) or not isinstance(key, str):
            raise pickle.UnpicklingError("it refers to something else than numbers")
        if key not in self.storages:
            content = self.archive.read(f"{self.folder}/data/{key}")
            numbers = torch.empty(len(content), dtype=torch.uint8)
            numbers.numpy()[:] = np.frombuffer(content, np.uint8)
            if dtype == torch.bool and numbers.numel() and numbers.max() > 1:
                raise pickle.UnpicklingError("it has truth values that are neither true nor false")
            self.storages[key] = numbers.view(dtype)
        found = self.storages[key]
        if found.dtype != dtype or len(found) != count:
            raise pickle.UnpicklingError(f"it has {len(found)} numbers of {found.dtype} where it says {count}")
        return found

    def load_build(self) -> None:
        """Attributes of a dict of weights, which torch itself writes and nothing needs."""
        if isinstance(self.stack[-2], dict):
            self.stack.pop()
        else:
            super().load_build()

    dispatch[pickle.BUILD] = load_build


def _as_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> torch.Tensor:
    """torch's `_rebuild_tensor_v2`, if each of the tensor's numbers has a place of its own."""
    if not isinstance(storage, torch.Tensor) or not all(type(n) is int and n >= 0 for n in (offset, *size, *stride)):
        raise pickle.UnpicklingError("it has a tensor without numbers or axes")
    if math.prod(size) > len(storage) or (0 in size and max(size) > 2**31):
        raise pickle.UnpicklingError(f"it has a tensor of axes {short_shape(size)} on {len(storage)} numbers")
    return storage.as_strided(size, stride, offset)  # which checks the bounds


def _as_parameter(tensor: Any, *_: Any) -> Any:
    """torch's `_rebuild_parameter`; the bare tensor."""
    return tensor


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGITS // 2).hexdigest().encode()


def _check_digest(file: BinaryIO) -> int:
    """The size of a file, whose digest is right if it has one: files of torch itself have none."""
    content = file.read()
    head, mark, digest = content.rpartition(MARK)
    if mark and _digest(head + mark) != digest:
        raise ValueError("it has changed since it was written")
    return len(content)
