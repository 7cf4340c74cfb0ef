"""A setting given to a job is used, or refused before work begins: every setting of every script, for every job."""

import dataclasses
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pytest
from test_config import settings_of
from test_scripts import folder, refused, run, tracks  # noqa: F401 - folder: a fixture

from bams import BAMSEmbedder
from bams.app.config import CustomConfig, LabelConfig, RunConfig
from bams.app.flags import Read, check_used, jobs_of
from bams.app.mabe import GroupConfig
from bams.training.config import TrainConfig
from simulated_quadrupeds import QuadrupedConfig

# What the jobs use that do not train; `train` uses all but the settings of embedding and scoring alone.
CLEANING = "resample rename keypoints min_confidence max_jump interpolate "
OWN = "job data_root debug fps individuals view missing_value third segments " + CLEANING
MABE = "job data_root debug simulate simulated_clips ckpt_path device threads "
SCORING = "submission labels splits tasks baselines "
USED = {
    (CustomConfig, "report"): OWN + "output_dir unit hoa_window hoa_window_s skip_frames",
    (CustomConfig, "compute_representations"): OWN + "ckpt_path device threads format",
    (LabelConfig, "report"): OWN + "output_dir unit hoa_window hoa_window_s skip_frames",
    (LabelConfig, "compute_representations"): OWN + "ckpt_path device threads format",
    (GroupConfig, "compute_representations"): MABE,
    (GroupConfig, "evaluate"): MABE + SCORING,
    (
        QuadrupedConfig,
        "evaluate",
    ): "job data_root debug simulate simulated_sequences ckpt_path device threads read_out_step",
}
NOT_TRAINED = {CustomConfig: "format", LabelConfig: "format", GroupConfig: SCORING, QuadrupedConfig: "read_out_step"}
SCRIPTS = [CustomConfig, LabelConfig, GroupConfig, QuadrupedConfig]
CASES = [*((cls, "train") for cls in SCRIPTS), (CustomConfig, "all"), *USED]


def other(setting: dataclasses.Field) -> Any:
    """A value that is not the default."""
    kind, usual = setting.type, setting.default
    if get_origin(kind) is Literal:
        return next(value for value in get_args(kind) if value != usual)
    if kind in (int, float):
        return usual + 1
    return (*usual, usual[0]) if isinstance(usual, tuple) else not usual if kind is bool else f"{usual}x"


def check(cls: type, job: str, values: dict[str, Any], *flags: str, trained: dict[str, Any] | None = None) -> None:
    usual = {name: setting.default for name, setting in settings_of(cls).items()}
    check_used(job, (RunConfig, TrainConfig, cls), Read(usual | values, set(flags), set()), lambda: trained or {})


@pytest.mark.parametrize(("cls", "job"), CASES)
def test_every_setting_is_used_by_a_job_or_refused(cls: type, job: str):
    known = set(settings_of(cls))
    used = {"train": known - set(NOT_TRAINED[cls].split()), "all": known}.get(job) or set(USED[cls, job].split())
    assert used <= known
    for name, setting in settings_of(cls).items():
        needs = jobs_of(setting).get(job) or jobs_of(setting).get("train", {})
        values = needs | {name: other(setting)}
        if name in used:
            check(cls, job, values, name)
            continue
        with pytest.raises(ValueError, match=rf"^--job {job} does not use --{name}, .*; leave it out$"):
            check(cls, job, values, name)
        if setting.metadata.get("kept", True):  # the command line of training may be repeated
            check(cls, job, values, name, trained={name: other(setting)})
            with pytest.raises(ValueError, match=f"^--{name} is .* the model was trained with {name} "):
                check(cls, job, values, name, trained={name: setting.default})


@pytest.mark.parametrize(
    ("cls", "job", "values", "flag", "said"),
    [
        (CustomConfig, "train", {}, "lr_milestones", "ok"),
        (CustomConfig, "all", {"lr_schedule": "cosine"}, "lr_milestones", "no use without --lr_schedule steps"),
        (CustomConfig, "train", {"hoa_window_s": 1.0}, "hoa_window", "no use beside --hoa_window_s"),
        (CustomConfig, "report", {"hoa_window_s": 1.0}, "hoa_window", "no use beside --hoa_window_s"),
        (CustomConfig, "train", {"features": "raw"}, "others", "no use without --features own"),
        (CustomConfig, "train", {"features": "raw"}, "predict", "no use without --features own"),
        (CustomConfig, "train", {"ckpt_path": "m.pt"}, "output_dir", "no use beside --ckpt_path"),
        (CustomConfig, "all", {"ckpt_path": "m.pt"}, "output_dir", "ok"),  # for the report
        (GroupConfig, "train", {}, "simulated_clips", "no use without --simulate true"),
        (GroupConfig, "evaluate", {}, "ckpt_path", "no use without --baselines true"),
        (QuadrupedConfig, "evaluate", {}, "ckpt_path", "ok"),
        (QuadrupedConfig, "train", {}, "simulated_sequences", "no use without --simulate true"),
    ],
)
def test_a_setting_that_needs_another_is_refused_without_it(cls, job, values, flag, said):
    if said == "ok":
        check(cls, job, values, flag)
    else:
        with pytest.raises(ValueError, match=rf"^--{flag} has {said}; "):
            check(cls, job, values, flag)


@pytest.fixture
def model(folder: Path) -> Path:  # noqa: F811
    np.save(folder / "k.npy", tracks())
    settings = {"lr": 0.004}
    return BAMSEmbedder(epochs=1, sequence_length=150, settings=settings, device="cpu").fit(tracks()).save("m.pt")


def test_the_command_lines_of_the_scripts_are_checked_before_work_begins(model: Path, capsys):
    embed = "custom_dataset.py --job compute_representations --ckpt_path m.pt --data_root"
    said = refused(f"{embed} nowhere.npy --lr 0.01", capsys)
    assert "--lr is 0.01, but the model was trained with lr 0.004" in said and "leave it out" in said
    assert "trained with unit file" in refused(f"{embed} nowhere.npy --unit body", capsys)
    assert "--job train" in refused(f"{embed} nowhere.npy --log_dir here", capsys)
    assert "no file nowhere.npy" in refused(f"{embed} nowhere.npy --lr 0.004 --epochs 1 --unit file", capsys)
    Path("lr.yaml").write_text("lr: 0.01\nlog_dir: here\n")  # a file is for all jobs
    assert "no file nowhere.npy" in refused(f"{embed} nowhere.npy --config lr.yaml", capsys)
    assert "--seed" in refused("custom_dataset_w_labels.py --job report --data_root nowhere.npz --seed 3", capsys)
    for script in ("mouse_triplets.py", "fruit_flies.py"):
        assert "--lr" in refused(f"{script} --job evaluate --submission x.npy --lr 0.1", capsys)
        assert "was trained on custom" in refused(f"{embed} x --lr 0.1".replace("custom_dataset.py", script), capsys)
    assert "--hoa_bins" in refused("simulated_quadrupeds.py --job evaluate --hoa_bins 8 --simulate", capsys)


def test_the_report_writes_one_figure_in_one_place(model: Path, capsys):
    report = "custom_dataset.py --job report --data_root k.npy --fps 30"
    for flags in ("", "--hoa_window_s 20"):
        run(f"{report} {flags}")
        assert "figure: report.png" in (said := capsys.readouterr().out)
        assert ("611 are needed" in said) == bool(flags)  # 10 frames that are skipped, 600 to come, and one
    run(f"{report} --output_dir out")
    assert sorted(str(path) for path in Path().rglob("report*")) == ["out/report.png", "report.png"]
