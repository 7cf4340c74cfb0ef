"""What every test of a refusal checks of the message."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def refused(match: str | None = None, path: object = "", error: type[Exception] = ValueError) -> Iterator[None]:
    """The block raises an error whose message matches, is one line, and names the path."""
    with pytest.raises(error, match=match) as found:
        yield
    assert str(path) in str(found.value) and "\n" not in str(found.value)
