"""Profiles of hypothesis, chosen by BAMS_PROPERTIES, and the counts of what the properties tried."""

import json
import os
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings
from strategies import COUNTS

# Two processes test side by side (see pyproject.toml), and threads of several would fight for the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)

# Tests with `tmp_path` make a file of their own name in each example, so that sharing the folder does no harm.
COMMON = {
    "deadline": None,
    "derandomize": True,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}
settings.register_profile("quick", max_examples=20, **COMMON)
settings.register_profile("torture", max_examples=200, **COMMON)
settings.load_profile(os.environ.get("BAMS_PROPERTIES", "quick"))

FAILED: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep the names of tests that failed."""
    if report.failed:
        FAILED.append(report.nodeid)


def pytest_sessionfinish() -> None:
    """Write the counts as JSON to the file that BAMS_PROPERTIES_COUNTS names, if it does."""
    if path := os.environ.get("BAMS_PROPERTIES_COUNTS"):
        Path(path).write_text(json.dumps({**COUNTS, "wrong": FAILED}), encoding="utf-8")
