"""What a wrong command line is."""

from typing import NamedTuple


class Row(NamedTuple):
    """A wrong command line.

    Attributes:
        what: is wrong.
        line: the arguments, behind those of a good command line.
        says: what the sentence must contain.
        hidden: a package that is not installed.
    """

    what: str
    line: str
    says: str
    hidden: str = ""
