"""A little of what `make torture` does, all of its command lines, and that each part notices what is wrong."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from torture import command_files, commands, damage
from torture.command_rows import RIGHT, WRONG, Row
from torture.tally import Tally, table

ROWS = [(script, row) for script, rows in WRONG.items() for row in rows]
ONLY_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="children are forked and watched as on Linux")


def name_of(value: str | Row) -> str:
    return value.line if isinstance(value, Row) else value


@ONLY_LINUX
@pytest.mark.slow
def test_faults_lose_nothing_and_damage_lets_nothing_in():
    ended = subprocess.run(
        [sys.executable, "-m", "torture", "--short", "--parts", "kills", "faults", "damage"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "nothing came out wrong" in ended.stdout
    # on a busy machine the training may end before the last kill
    ((kills, survived),) = re.findall(r"^\| kills of a training \(SIGKILL\) \| (\d+) \| (\d+) \|", ended.stdout, re.M)
    assert kills == survived and int(kills) >= 1


def test_the_table_adds_up():
    first = Tally("one", tried=5, refused=4, harmless=1)
    other = Tally("other")
    for wrong in ("", "", "what"):
        other.fault(wrong)
    lines = table([first, other], [1.2, 2.7]).splitlines()
    assert lines[2:] == [
        "| one | 0 | 0 | 5 | 4 | 1 | 0 | 1 |",
        "| other | 3 | 2 | 0 | 0 | 0 | 1 | 3 |",
        "| all | 3 | 2 | 5 | 4 | 1 | 1 | 4 |",
    ]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("commands")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        command_files.prepare()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("script", "row"), ROWS, ids=name_of)
def test_a_wrong_command_line_is_refused_before_any_work(script: str, row: Row, prepared: Path, monkeypatch):
    monkeypatch.chdir(prepared)
    assert commands.refusal(script, row) == ""


@pytest.mark.slow
@pytest.mark.parametrize("row", RIGHT["custom_dataset.py"], ids=name_of)
def test_an_odd_command_line_that_is_right_is_taken(row: Row, prepared: Path, monkeypatch):
    monkeypatch.chdir(prepared)
    assert commands.acceptance("custom_dataset.py", row) == ""


@pytest.mark.slow
def test_a_command_line_that_is_refused_badly_is_noticed(prepared: Path, monkeypatch):
    monkeypatch.chdir(prepared)
    script = "custom_dataset.py"
    assert "no 'lr' in" in commands.refusal(script, Row("--epochs many", "lr"))
    assert "work has begun" in commands.refusal(script, Row("", "nothing"))
    assert "ended with 2" in commands.acceptance(script, Row("--epochs many"))
    assert "ended with 0" in commands.refusal(script, Row("--job report"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands, "call", lambda *_: (Path("left").touch(), (2, "error: a sentence"))[1])
        assert commands.refusal(script, Row("")) == "it left left"


@pytest.mark.parametrize("debug", ["--debug", "--debug=true", "--debug true"])
@pytest.mark.parametrize("line", ["--data_root none.npy", "--epochs many", "--config none.yaml"])
def test_debug_shows_the_traceback(line: str, debug: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found, said = commands.call("custom_dataset.py", Row(f"{line} {debug}"))
    assert isinstance(found, ValueError | FileNotFoundError)
    assert found.__traceback__ is not None and "error: " not in said


def misread(how: str, content: bytes) -> bytes:
    """What no reader may do with a damaged file."""
    match how:
        case "crash":
            os.abort()
        case "hang":
            time.sleep(60)
        case "other error":
            raise KeyError("x")
        case "no name":
            raise ValueError("it is damaged")
    return content


@ONLY_LINUX
@pytest.mark.parametrize(
    ("how", "said"),
    [
        *(("crash", "with -6"), ("hang", "with -14"), ("other error", "KeyError"), ("no name", "no sentence")),
        *(("other content", "not equal"), ("", "")),
    ],
)
def test_a_damaged_file_that_is_misread_is_noticed(how: str, said: str, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(damage, "SECONDS", 1)
    path, whole = tmp_path / "a.txt", b"a file of 1234 numbers " * 20
    path.write_bytes(whole)

    def read(path: Path) -> bytes:
        content = path.read_bytes()
        return content if content == whole else misread(how, content)

    tally = Tally("")
    damage.count("text", damage.Kind(path, read, sealed=how == "other content"), 3, 0, tally)
    assert (tally.harmless, len(tally.wrong) > 0) == ((0, True) if how else (3, False)), tally
    assert all(said in line for line in tally.wrong)


def test_the_same_seed_gives_the_same_damage():
    found = [list(damage.damaged(b"text 12 34.5 " * 50, 50, seed)) for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
