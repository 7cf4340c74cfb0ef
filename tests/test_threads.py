"""The number of threads follows what the process may use and what others leave free."""

import os

import joblib
import pytest
import torch

from bams.compute import threads
from bams.compute.threads import choose_threads, cores_in_use, set_threads, using_threads


@pytest.mark.parametrize(
    ("usual", "cores", "allowed", "load", "environment", "expected"),
    [
        (16, 16, 16, 0.3, {}, 16),
        (16, 16, 16, 3.2, {}, 13),
        (2, 2, 2, 5.0, {}, 1),  # never less than one
        (2, 2, 2, 0.4, {}, 2),
        (8, 16, 16, 4.0, {}, 8),  # torch leaves out hyperthreads
        (64, 64, 4, 0.0, {}, 4),  # a quota, or an affinity
        (64, 64, 4, 30.0, {}, 4),
        (64, 64, 4, 62.0, {}, 2),
        (64, 64, 64, 60.0, {"SLURM_CPUS_PER_TASK": "8"}, 8),  # reserved
        (64, 64, 4, 0.0, {"SLURM_CPUS_PER_TASK": "8"}, 4),
        (16, 16, 16, 0.0, {"LOCAL_WORLD_SIZE": "4"}, 4),
        (16, 16, 16, 12.0, {"LOCAL_WORLD_SIZE": "8"}, 1),
        (6, 2, 2, 9.0, {"OMP_NUM_THREADS": "6"}, 6),  # the user's choice
        (2, 2, 2, 9.0, {"OMP_NUM_THREADS": "", "SLURM_CPUS_PER_TASK": ""}, 1),
    ],
)
def test_threads_are_as_many_as_there_are_free_cores(usual, cores, allowed, load, environment, expected):
    assert choose_threads(usual, cores, allowed, load, environment) == expected


@pytest.fixture
def busy(monkeypatch):
    """4 cores, of which others use 2.6, and 4 threads as usual."""
    before = torch.get_num_threads()
    for name in ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 4)
    monkeypatch.setattr(threads, "cores_in_use", lambda: 2.6)
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def test_fewer_threads_than_usual_are_said_and_given_back(busy, capsys):
    with using_threads() as chosen:
        assert chosen == torch.get_num_threads() == 1
    assert torch.get_num_threads() == 4
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "computing with 1 of 4 threads: of 4 cores, this process may use 4, and other programs use 2.6" in said
    assert "--threads" in said


@pytest.mark.parametrize("asked", [1, 3, 6])
def test_a_number_that_is_asked_for_is_used_without_a_word(busy, capsys, asked):
    with using_threads(asked) as chosen:
        assert chosen == torch.get_num_threads() == asked
    assert torch.get_num_threads() == 4
    assert set_threads(asked) == torch.get_num_threads() == asked
    assert capsys.readouterr().err == ""


def test_programs_that_have_ended_do_not_count(monkeypatch):
    said = iter(["5.20 4.80 4.78 6/512 12345", "5.20 4.80 4.78 2/512 12345", "0.10 0.2 0.3 1/99 7"])
    monkeypatch.setattr("pathlib.Path.read_text", lambda _: next(said))
    assert [cores_in_use() for _ in range(3)] == [5, 1, 0]
