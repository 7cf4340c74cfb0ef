"""Settings: each has a help text, says what becomes of it in a checkpoint, and is refused without a value."""

import dataclasses

import pytest

from bams.app import cli
from bams.app.config import CustomConfig, LabelConfig, RunConfig
from bams.app.flags import help_texts
from bams.app.mabe import GroupConfig
from bams.checkpoint import kept
from bams.training.config import TrainConfig
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
    said = " ".join(capsys.readouterr().out.split())
    texts = {name: text for part in (RunConfig, TrainConfig, cls) for name, text in help_texts(part).items()}
    for name in settings_of(cls):
        assert len(texts[name]) > 10 and f"--{name} " in said and texts[name] in said, name


def test_a_setting_without_a_docstring_has_no_help_text():
    @dataclasses.dataclass
    class Settings:
        said: int = 0
        """what it says"""
        silent: int = 0

    assert help_texts(Settings) == {"said": "what it says", "silent": ""}


@pytest.mark.parametrize(
    ("cls", "own"),
    [
        (CustomConfig, {"segments", "format", "view", "about"}),
        (LabelConfig, {"segments", "format", "view", "about", "labels"}),
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
        *("features", "heading", "predict"),
        *("resample", "rename", "keypoints", "min_confidence", "max_jump", "interpolate", "unit"),
        *("missing_value", "third"),
    }


ONE = ("batch_size", "hoa_window", "log_every_step", "checkpoint_every", "views")
ZERO = ("epochs", "near_frames", "far_frames", "skip_frames", "seed", "lr", "bootstrap_lr", "weight_decay")
REFUSED = {
    **dict.fromkeys(ONE, (0, 2**63)),
    **dict.fromkeys(ZERO, (-1, float("nan"))),
    "hoa_frames": (0, -0.1, 1.01, float("nan")),
    "hide_parts": (-0.1, 1, float("nan")),
    "bootstrap_weight": (-0.5, float("nan"), float("inf")),
    "lr_milestones": ((-1,), (0,)),
    "loss": ("plain",),
    "lr_schedule": ("fast",),
    "precision": ("half",),
    "num_workers": (-2,),
}


@pytest.mark.parametrize("field", REFUSED)
def test_settings_that_make_no_run_are_refused_by_name(field):
    for value in REFUSED[field]:
        with pytest.raises(ValueError, match=f"^{field} "):
            TrainConfig(**{field: value})


@pytest.mark.parametrize("share", [-0.1, 1, float("nan")])
def test_a_held_out_share_is_refused_in_every_job(share):
    with pytest.raises(ValueError, match=r"^val_share is"):
        RunConfig(job="report", val_share=share)


def test_settings_at_their_bounds_are_taken():
    assert TrainConfig(epochs=1, batch_size=1, hoa_window=1, skip_frames=0, hoa_frames=1, lr=0).hoa_frames == 1


def test_settings_of_the_paper_are_the_defaults():
    config = TrainConfig()
    assert (config.epochs, config.batch_size, config.lr, config.bootstrap_lr) == (500, 32, 1e-3, 1e-2)
    assert (config.weight_decay, config.lr_milestones, config.hoa_window) == (4e-5, (200,), 30)
    assert (config.bootstrap_weight, config.skip_frames, config.loss) == (0.5, 100, "normalised")
