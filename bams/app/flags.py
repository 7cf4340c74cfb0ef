"""Settings from flags and YAML files: each field of the settings is a flag, and its docstring the flag's help."""

import argparse
import ast
import difflib
import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import yaml

from bams.storage.files import existing, short

DASHES = "-–—"  # text editors turn two dashes into a longer one
NUMBER = float | None  # None = not given
WORDS = {int: "a whole number", float: "a number", NUMBER: "a number", bool: "true or false"}
FORM = "write each setting on a line, as epochs: 3"
PARTS_OF_ALL = ("report", "train", "compute_representations")  # the jobs that `all` does, one after the other


@dataclass(frozen=True)
class Read:
    """What flags and files say."""

    values: dict[str, Any]  #: of each setting, by name
    flags: set[str]  #: the settings that the command line gives
    in_files: set[str]  #: the settings that files give


def read_settings(argv: Sequence[str], description: str, classes: Sequence[type], defaults: Mapping[str, Any]) -> Read:
    """The value of each setting: from the flags, else the files that `--config` names, else the defaults.

    The fields of the dataclasses `classes` are the settings; `defaults` are by name, where they differ from theirs.
    """
    kinds = {field.name: field.type for cls in classes for field in fields(cls)}
    usual = {field.name: field.default for cls in classes for field in fields(cls)} | dict(defaults)
    options = {"allow_abbrev": False, "argument_default": argparse.SUPPRESS, "exit_on_error": False}
    usage = "%(prog)s --job JOB [--setting value ...]"
    parser = argparse.ArgumentParser(usage=usage, description=description, **options)
    parser.add_argument("--config", action="append", help="YAML file with any of these settings")
    parser.add_argument("--print_config", action="store_true", help="print all settings as YAML, and end")
    jobs = {field.name: jobs_of(field) for cls in classes for field in fields(cls)}
    only_for = {name: "" if "train" in of else f"for {_or(list(of))}: " for name, of in jobs.items()}
    for cls in classes:
        group, texts = parser.add_argument_group(inspect.getdoc(cls)), help_texts(cls)
        for name, text in texts.items():
            value = usual[name]
            shown = f" (default: {_shown(value)})" if value not in (None, "", MISSING) else ""
            optional = {"nargs": "?", "const": "true"} if kinds[name] is bool else {}
            text = (only_for[name] + text + shown).replace("%", "%%")
            group.add_argument(f"--{name}", help=text, metavar=_metavar(kinds[name]), **optional)
    try:
        found, unknown = parser.parse_known_args(argv)
    except argparse.ArgumentError as error:
        said = "needs a value after it" if error.message.startswith("expected") else "takes no value"
        raise ValueError(f"{error.argument_name} {said}; --help lists all flags") from error
    if unknown and not unknown[0].startswith(tuple(DASHES)):
        hint = "put patterns and names with spaces in quotes (--help lists all flags)"
        raise ValueError(f"{unknown[0]!r} stands without a flag before it; {hint}")
    if unknown:
        name = unknown[0].partition("=")[0]
        raise ValueError(f"this script has no flag {name}{_meant(name, kinds, '--')}")
    given, values = vars(found), usual
    in_files: dict[str, Any] = {}
    for path in given.pop("config", []):
        in_files |= _read_yaml(path, kinds)
    stop = given.pop("print_config", False)
    values |= in_files | {name: _from_flag(name, text, kinds[name]) for name, text in given.items()}
    if stop:
        print(yaml.safe_dump({k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}, sort_keys=False))
        raise SystemExit(0)
    return Read(values, set(given), set(in_files))


def check_used(job: str, classes: Sequence[type], read: Read, trained: Callable[[], Mapping[str, Any]]) -> None:
    """Raise ValueError if the job does not use a setting that the command line gives.

    The metadata of each setting says which `jobs` use it, and what other settings each of them needs for that; without
    this, training uses it. A setting of training may be given again with the value that the checkpoint keeps, which
    `trained` reads. Files may hold the settings of all jobs.
    """
    parts = PARTS_OF_ALL if job == "all" else (job,)
    for setting in (one for cls in classes for one in fields(cls) if one.name in read.flags):
        name, value, jobs = setting.name, read.values[setting.name], jobs_of(setting)
        lacking = [_lacking(jobs[part], read.values) for part in parts if part in jobs]
        if "" in lacking:
            continue
        if lacking:
            raise ValueError(f"--{name} has no use {lacking[0]}; leave one of them out, or change it")
        had = trained().get(name) if setting.metadata.get("kept", True) else None
        if had is None:
            said = f"--job {job} does not use --{name}, a setting of --job {_or(list(jobs))}"
            raise ValueError(f"{said}; leave it out")
        if had != value and not (isinstance(value, tuple) and list(had) == list(value)):
            said = f"the model was trained with {name} {_shown(had)}, which --job {job} does not change"
            raise ValueError(f"--{name} is {_shown(value)}, but {said}; leave it out")


def jobs_of(setting: Field) -> Mapping[str, Mapping[str, Any]]:
    """The jobs that use a setting, and the other settings that each of them needs for that, by name."""
    return setting.metadata.get("jobs", {"train": {}})


def _lacking(needs: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """In words, which of the settings that are needed is another; empty if none is."""
    others = [other for other, wanted in needs.items() if values.get(other, wanted) != wanted]
    return " and ".join(f"without --{one} {_shown(needs[one])}" if needs[one] else f"beside --{one}" for one in others)


def _shown(value: Any) -> str:
    """A value as a flag takes it."""
    if isinstance(value, list | tuple):
        return f"[{','.join(map(str, value))}]"
    return str(value).lower() if isinstance(value, bool) else f"{value}" or "''"


def expected(kind: Any) -> str:
    """In words, what the values of a setting are."""
    if get_origin(kind) is Literal:
        return _or(get_args(kind))
    if get_origin(kind) is tuple:
        one = get_args(kind)[0]
        choices = get_args(one) if get_origin(one) is Literal else ()
        example = ",".join(choices[:2]) if choices else "100,200"
        return f"a list in brackets such as [{example}]" + (f", of {_or(choices)}" if choices else "")
    return WORDS.get(kind, "text, in quotes if it looks like a number")


def _from_flag(name: str, text: str, kind: Any) -> Any:
    try:
        return _converted(yaml.safe_load(text) if get_origin(kind) is tuple or kind is bool else text, kind)
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"--{name} is {text!r}; expected {expected(kind)}") from error


def _converted(value: Any, kind: Any) -> Any:
    """The value as one of its kind; ValueError if it is of another."""
    if get_origin(kind) is Literal:
        if value in get_args(kind):
            return value
    elif get_origin(kind) is tuple:
        if isinstance(value, list | tuple):
            return tuple(_converted(one, get_args(kind)[0]) for one in value)
    elif kind is bool:
        if isinstance(value, bool):
            return value
    elif kind in (int, float, NUMBER) and value is not None:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return (int if kind is int else float)(str(value))  # 2.5 is no whole number
    elif isinstance(value, str) or (value is None and NoneType in get_args(kind)):
        return value
    raise ValueError(value)


def _read_yaml(path: str, kinds: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in a file, each named once."""
    if not path:
        raise ValueError("--config is empty; name a YAML file with settings, or leave it out")
    try:
        node = yaml.compose(existing(path).read_text("utf-8"), Loader=yaml.SafeLoader)
        if not isinstance(node, yaml.MappingNode):
            raise ValueError(f"{path} holds no settings: {FORM}")
        names = [str(key.value) for key, _ in node.value]
        for name in names:
            if name not in kinds:
                raise ValueError(f"{path} has {name}, which is no setting{_meant(name, kinds)}")
            if names.count(name) > 1:
                raise ValueError(f"{name} stands twice in {path}; keep one of them")
        values = yaml.SafeLoader("").construct_mapping(node, deep=True)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file: {FORM}") from error
    except (yaml.YAMLError, RecursionError) as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or short(error)
        where = f" in line {mark.line + 1}" if mark else ""
        raise ValueError(f"{path} cannot be read as YAML ({problem}{where}): {FORM}") from error
    for name, value in values.items():
        try:
            values[name] = _converted(value, kinds[name])
        except ValueError as error:
            said = "has no value" if value is None else f"is {str(value)!r}"
            raise ValueError(f"{name} in {path} {said}; expected {expected(kinds[name])}") from error
    return values


def help_texts(cls: type) -> dict[str, str]:
    """The docstring under each field of a dataclass, in the order of the fields."""
    texts: dict[str, str] = {}
    for one in reversed(cls.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0].body
        for node, after in zip(body, [*body[1:], None], strict=True):
            if isinstance(node, ast.AnnAssign):
                said = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                texts[node.target.id] = " ".join(str(after.value.value).split()) if said else ""
    return texts


def _metavar(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "{" + ",".join(get_args(kind)) + "}"
    return {int: "N", float: "X", NUMBER: "X", bool: "true"}.get(kind, "LIST" if get_origin(kind) is tuple else "TEXT")


def _or(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _meant(name: str, known: Iterable[str], before: str = "") -> str:
    plain = name.lstrip(DASHES).replace("-", "_").lower()
    close = difflib.get_close_matches(plain, known, 1, 0.75)
    return f"; did you mean {before}{close[0]}?" if close else "; --help lists all"
