"""config.py: settings that no command line can give, but a YAML file can."""

import dataclasses

import pytest

from bams.app import cli
from bams.app.config import CustomConfig, RunConfig
from bams.training.config import TrainConfig


@pytest.mark.parametrize("cls", [RunConfig, TrainConfig, CustomConfig])
def test_a_setting_without_a_value_is_refused_by_its_name(tmp_path, cls):
    path = tmp_path / "run.yaml"
    for field in dataclasses.fields(cls):
        if field.default is None:
            continue
        path.write_text(f"{field.name}:\n")
        with pytest.raises(ValueError, match=field.name):
            cli.parse(["--config", str(path)], "", CustomConfig)
