"""Settings: each has a help text, says what becomes of it in a checkpoint, and is refused without a value."""

import dataclasses
import re

import pytest

from bams.app import cli
from bams.app.config import CustomConfig, RunConfig
from bams.app.mabe import GroupConfig
from bams.checkpoint import kept
from bams.training.config import TrainConfig
from custom_dataset_w_labels import LabelConfig
from simulated_quadrupeds import QuadrupedConfig

SCRIPTS = [CustomConfig, LabelConfig, GroupConfig, QuadrupedConfig]


def settings_of(cls: type) -> dict[str, dataclasses.Field]:
    """The settings of a script, by name."""
    return {field.name: field for part in (RunConfig, TrainConfig, cls) for field in dataclasses.fields(part)}


@pytest.mark.parametrize("cls", SCRIPTS)
def test_a_setting_without_a_value_is_refused_by_its_name(tmp_path, cls):
    path = tmp_path / "run.yaml"
    for name, field in settings_of(cls).items():
        if field.default is not None:
            path.write_text(f"{name}:\n")
            with pytest.raises(ValueError, match=rf"^{name} in .* has no value; expected "):
                cli.parse(["--config", str(path)], "", "custom", cls)


@pytest.mark.parametrize("cls", SCRIPTS)
def test_every_setting_has_a_help_text(cls, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "10000")
    with pytest.raises(SystemExit):
        cli.parse(["--help"], "", "custom", cls)
    said = capsys.readouterr().out
    for name in settings_of(cls):
        assert re.search(rf"^ +--{name} [^\n]*\n? +[^ (-][^\n]* \(", said, re.MULTILINE), name


@pytest.mark.parametrize(
    ("cls", "own"),
    [
        (CustomConfig, {"segments", "format"}),
        (LabelConfig, {"segments", "format"}),
        (GroupConfig, {"submission", "labels", "splits", "tasks", "baselines"}),
        (QuadrupedConfig, set()),
    ],
)
def test_a_checkpoint_keeps_no_files_and_no_job(cls, own):
    files = {"job", "data_root", "cache_path", "ckpt_path", "output_dir", "log_dir", "resume", "debug"}
    assert set(kept(RunConfig, TrainConfig, cls)) == set(settings_of(cls)) - files - own


def test_the_settings_that_a_run_cannot_change():
    fixed = {name for name, field in settings_of(CustomConfig).items() if field.metadata.get("fixed")}
    assert fixed == {
        *("batch_size", "hoa_window", "skip_frames", "seed", "sequence_length", "hoa_bins", "val_share"),
        *("tracks", "features", "heading", "predict"),
        *("resample", "rename", "keypoints", "min_confidence", "max_jump", "interpolate", "unit"),
    }
