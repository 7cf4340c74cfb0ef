"""A wrong command line of the torture gets one sentence and leaves nothing; odd ones that are good are taken."""

from pathlib import Path

import pytest

from bams.app import flags
from torture import command_files, commands
from torture.command_rows import ACCEPTED, WRONG, Row

pytestmark = pytest.mark.slow  # together


def numbered(tables: dict[str, list[Row]]) -> list:
    return [
        pytest.param(script, row, id=f"{script.removesuffix('.py')} {number}: {row.what}")
        for script, rows in tables.items()
        for number, row in enumerate(rows)
    ]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("commands")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        command_files.prepare()
    return folder


@pytest.mark.parametrize(("script", "row"), numbered(WRONG))
def test_a_wrong_command_line_is_refused_before_any_work(
    script: str, row: Row, prepared: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(prepared)
    assert commands.refusal(script, row) == ""


@pytest.mark.parametrize(("script", "row"), numbered(ACCEPTED))
def test_an_odd_command_line_that_is_good_is_taken(
    script: str, row: Row, prepared: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(prepared)
    assert commands.acceptance(script, row) == ""


def test_there_are_many_for_each_script_and_none_twice():
    assert set(WRONG) == set(commands.SCRIPTS)
    for rows in WRONG.values():
        assert len(rows) >= 30
        assert len({(row.line, row.hidden) for row in rows}) == len(rows)


def test_what_is_amiss_is_seen(prepared: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(prepared)
    script = "custom_dataset.py"
    assert "ended with 2" not in commands.refusal(script, Row("", "--epochs many", "--epochs"))
    assert "no 'lr' in" in commands.refusal(script, Row("", "--epochs many", "lr"))
    assert "work has begun" in commands.refusal(script, Row("", "", "nothing"))
    assert "ended with 2" in commands.acceptance(script, Row("", "--epochs many", ""))
    left = commands.refusal(script, Row("", "--job report --heading a:b", ""))
    assert "ended with 0" in left and (prepared / "report.png").exists()
    (prepared / "report.png").unlink()


@pytest.mark.parametrize("debug", ["--debug", "--debug=true", "--debug true"])
@pytest.mark.parametrize("line", ["--data_root none.npy", "--epochs many", "--config none.yaml"])
def test_debug_shows_the_traceback(line: str, debug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    found, said = commands.call("custom_dataset.py", Row("", f"{line} {debug}", ""))
    assert isinstance(found, ValueError | FileNotFoundError)
    assert found.__traceback__ is not None
    assert "error: " not in said


def test_values_are_told_in_words():
    assert flags.expected(int) == "a whole number"
    assert flags.expected(str | None).startswith("text")
    assert flags.expected(tuple[int, ...]) == "a list in brackets such as [100,200]"
