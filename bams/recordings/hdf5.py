"""HDF5 files, and the texts in them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bams.storage.files import optional

if TYPE_CHECKING:
    import h5py


def open_hdf5(path: Path) -> "h5py.File":
    """An HDF5 file, open for reading; ImportError if h5py is not installed."""
    return optional("h5py").File(path, "r")


def as_text(value: Any) -> str:
    """A text, which HDF5 files hold as bytes or as text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def as_names(values: np.ndarray) -> list[str]:
    """The names in an array of texts."""
    return [as_text(value).strip() for value in np.asarray(values).reshape(-1)]
