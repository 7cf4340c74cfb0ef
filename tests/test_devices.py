"""Devices, number formats, and processes that load batches."""

import pytest
import torch

from bams.compute.devices import pick_device, pick_precision, pick_workers


def test_precision_is_chosen_by_what_the_device_is_made_for(monkeypatch):
    cpu = torch.device("cpu")
    for found, expected in (({"avx512_bf16": True}, "bfloat16"), ({"amx_bf16": True}, "bfloat16"), ({}, "float32")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=found: found)
        assert pick_precision("auto", cpu) == expected
    assert [pick_precision(name, cpu) for name in ("float32", "bfloat16")] == ["float32", "bfloat16"]


def test_automatic_workers_leave_the_cores_to_a_cpu_that_trains(monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 8)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert [pick_workers(count) for count in (-1, 0, 3)] == [0, 0, 3]
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert [pick_workers(count) for count in (-1, 0, 3)] == [4, 0, 3]
    assert pick_workers(-1, processes=4) == 1


@pytest.mark.parametrize("name", ["nonsense", "", "cuda:99", "cpu cuda"])
def test_devices_that_are_not_there_are_refused_with_the_way_out(name):
    with pytest.raises(ValueError, match=r"not usable here; choose auto or cpu") as error:
        pick_device(name)
    assert repr(name) in str(error.value)


def test_devices_that_are_there():
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type == (
        "cuda" if torch.cuda.is_available() else "mps" if torch.mps.is_available() else "cpu"
    )
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="cuda"):
            pick_device("cuda")
