"""What is wrong with flags and with files of settings, in sentences that their names stand in."""

import difflib
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import yaml

from bams.storage.files import existing, short

DASHES = "-–—"  # the longer ones are what text editors make of two
WORDS = {int: "a whole number", float: "a number", bool: "true or false"}


def config_paths(argv: Sequence[str]) -> list[str]:
    """The files that `--config` names.

    Raises:
        ValueError: a name is empty.
    """
    found = [flag.removeprefix("--config=") for flag in argv if flag.startswith("--config=")]
    found += [path for flag, path in itertools.pairwise(argv) if flag == "--config" and not path.startswith("--")]
    if "" in found:
        raise ValueError("--config is empty; name a YAML file with settings, or leave it out")
    return found


def check_config(path: str, kinds: Mapping[str, Any]) -> None:
    """Check that a file of settings can be read, and names each setting once.

    Args:
        path: of the YAML file.
        kinds: of the settings, by name.

    Raises:
        FileNotFoundError, ValueError: there is none, it is not YAML, or it names something else.
    """
    form = "write each setting on a line, as epochs: 3"
    try:
        settings = yaml.compose(existing(path).read_text("utf-8"), Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file: {form}") from error
    except (yaml.YAMLError, RecursionError) as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or short(error)
        where = f" in line {mark.line + 1}" if mark else ""
        raise ValueError(f"{path} cannot be read as YAML ({problem}{where}): {form}") from error
    if not isinstance(settings, yaml.MappingNode):
        raise ValueError(f"{path} holds no settings: {form}")
    seen = set()
    for name, value in ((str(key.value), value) for key, value in settings.value):
        if name not in kinds:
            raise ValueError(f"{path} has {name}, which is no setting{_meant(name, kinds)}")
        if name in seen:
            raise ValueError(f"{name} stands twice in {path}; keep one of them")
        if value.tag.endswith(":null") and NoneType not in get_args(kinds[name]):
            raise ValueError(f"{name} in {path} has no value; expected {expected(kinds[name])}")
        if value.tag.startswith(("!", "tag:yaml.org,2002:python")):
            raise ValueError(f"{name} in {path} has the tag {value.tag}, which is not data; write its value alone")
        seen.add(name)


def with_values(argv: Sequence[str], switches: set[str]) -> list[str]:
    """Let `--simulate` stand for `--simulate true`."""
    followed = zip(argv, [*argv[1:], "--"], strict=False)
    return [f"{flag}=true" if flag in switches and after.startswith("-") else flag for flag, after in followed]


def sentence(error: str, argv: Sequence[str], kinds: Mapping[str, Any], config: str = "") -> str:
    """What is wrong with a command line, from what the parser says of it.

    Args:
        error: the parser's words.
        argv: the command line.
        kinds: of the settings, by name.
        config: the file that is at fault, if one is.
    """
    error = " ".join(error.split())
    if found := re.match(r'Parser key "(\w+)": .*Got value: ?(.*)', error):
        name, value = found.groups()
        if name in kinds:
            said = f"{name} in {config} is {value!r}" if config else f"--{name} is {_typed(argv, name, value)!r}"
            return f"{said}; expected {expected(kinds[name])}"
    if found := re.match(r"argument (--\w+): expected one argument", error):
        return f"{found[1]} needs a value after it; --help lists all flags"
    if found := re.match(r"unrecognized arguments: (.*)", error):
        first = next((word for word in argv if found[1].startswith(" ".join(word.split()))), found[1].split()[0])
        if first.startswith(tuple(DASHES)):
            name = first.partition("=")[0]
            return f"this script has no flag {name}{_meant(name, kinds, '--')}"
        return (
            f"{first!r} stands without a flag before it; put patterns and names with spaces in quotes "
            "(--help lists all flags)"
        )
    return f"{error}{f' in {config}' if config else ''}; --help lists all flags"


def expected(kind: Any) -> str:
    """What the values of a setting are, in words."""
    if get_origin(kind) is Literal:
        return _or(get_args(kind))
    if get_origin(kind) is tuple:
        one = get_args(kind)[0]
        choices = get_args(one) if get_origin(one) is Literal else ()
        example = ",".join(choices[:2]) if choices else "100,200"
        return f"a list in brackets such as [{example}]" + (f", of {_or(choices)}" if choices else "")
    return WORDS.get(kind, "text, in quotes if it looks like a number")


def _or(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _typed(argv: Sequence[str], name: str, otherwise: str) -> str:
    """The value of a flag as it was typed, the last time."""
    found = otherwise
    for word, after in zip(argv, [*argv[1:], ""], strict=True):
        if word == f"--{name}":
            found = after
        elif word.startswith(f"--{name}="):
            found = word.partition("=")[2]
    return found


def _meant(name: str, known: Iterable[str], before: str = "") -> str:
    plain = name.lstrip(DASHES).replace("-", "_").lower()
    close = difflib.get_close_matches(plain, known, 1, 0.75)
    return f"; did you mean {before}{close[0]}?" if close else "; --help lists all"
