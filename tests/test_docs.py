"""The README and the pages in docs/: their commands and Python blocks run, in the order in which they are read."""

import contextlib
import csv
import importlib.util
import inspect
import re
import shlex
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from test_scripts import ROOT, SCRIPTS, folder, labels, run, tracks, write_deeplabcut  # noqa: F401 - folder: a fixture
from test_stream import TOLERANCE, custom_checkpoint, gappy, offline

import bams
from bams import FeatureConfig, checkpoint, plots
from bams.app import command
from bams.features import recording_features

# what the pages show of each script, at least
JOBS = {
    "mouse_triplets.py": {"train", "compute_representations", "evaluate"},
    "fruit_flies.py": {"train", "compute_representations", "evaluate"},
    "simulated_quadrupeds.py": {"train", "evaluate"},
    "custom_dataset.py": {"report", "train", "compute_representations"},
    "custom_dataset_w_labels.py": {"train", "compute_representations"},
    "bams": {"report", "train", "embed"},
}
# so that a training takes seconds; flags that come later win
QUICK = {
    "mouse_triplets.py": "--sequence_length 200 --batch_size 16 --epochs 2",
    "fruit_flies.py": "--sequence_length 900 --batch_size 16 --epochs 1",
    "simulated_quadrupeds.py": "--batch_size 16 --epochs 2",
    "custom_dataset.py": "--sequence_length 150 --epochs 2",
    "custom_dataset_w_labels.py": "--sequence_length 150 --epochs 2",
    "bams": "--sequence_length 150 --epochs 2",
}
FEW = "simulated_clips: 4\n", "simulated_sequences: 30\n"  # in a file, as not every command simulates
MAINS = {**SCRIPTS, "bams": command.main}
# Commands that are not run here: they install, build, download, wait for the user, or take long.
NOT_RUN = ("make", "pip", "python3 -m venv", "source", "tensorboard", "jupyter", "./download_mabe.sh")
BENCHMARK = "python -m benchmarks."  # not run either, but must exist


def pages() -> list[Path]:
    """The README, then the pages in the order of their tables of contents."""

    def below(page: Path) -> list[Path]:
        found = [page]
        for names in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(), flags=re.DOTALL):
            lines = [line for line in names.splitlines() if line and not line.startswith(":")]
            found += [one for name in lines for one in below(page.parent / f"{name}.md")]
        return found

    return [ROOT / "README.md", *below(ROOT / "docs/index.md")]


def blocks(page: Path, *languages: str) -> list[tuple[str, str]]:
    """Language and text of the code blocks of a page in these languages, in order."""
    found = re.findall(r"```(\w+)\n(.*?)```", page.read_text(), flags=re.DOTALL)
    return [(language, text) for language, text in found if language in languages]


def commands(text: str) -> list[str]:
    """The lines of a bash block, without comments."""
    return [line for line in (line.split("  #")[0].strip() for line in text.splitlines()) if line]


def block_with(word: str) -> str:
    """The first Python block that has this word."""
    return next(text for page in pages() for _, text in blocks(page, "python") if word in text)


def option(argv: list[str], name: str, default: str = "") -> str:
    return argv[argv.index(name) + 1] if name in argv else default


@pytest.fixture
def recordings(folder: Path) -> Path:  # noqa: F811 - pytest's way
    """A folder with the files that the pages speak of."""
    np.savez(folder / "tracks.npz", keypoints=tracks())
    np.savez(folder / "labelled.npz", keypoints=tracks(), **labels(tracks()))
    mice = tracks(12, 240).reshape(4, 3, 240, 12, 2)
    for i, name in enumerate(("tracks/a", "tracks/b", "tracks/c", "new/d")):
        write_deeplabcut(folder / f"{name}.csv", mice[i, : 2 + i % 2, : 240 - 20 * i], first_frame=100)
    events = [
        f"{name},{start},{start + 19},{what}" for name in "abc" for start, what in ((110, "groom"), (170, "rear"))
    ]
    (folder / "events.csv").write_text("\n".join(["recording,start,end,behaviour", *events]))
    (folder / "recordings.csv").write_text("recording,group,sex,weight\na,x,m,21.5\nb,y,f,19\nc,z,m,24")
    (folder / "configs").symlink_to(ROOT / "configs")
    return folder


class Reader:
    """Someone who does all that the pages say, one after the other, in one folder."""

    def __init__(self, folder: Path):  # noqa: F811
        self.folder = folder
        self.done: set[str] = set()  # a command that several pages have runs once
        self.jobs: dict[str, set[str]] = {script: set() for script in MAINS}
        self.checkpoints: dict[tuple[str, str], str] = {}  # newest, by script and kind of data

    def run_command(self, line: str) -> None:
        words = [word for word in shlex.split(line) if not re.fullmatch("[A-Z_]+=.*", word)]
        if line in self.done or " ".join(words).startswith(NOT_RUN):
            return
        self.done.add(line)
        if " ".join(words).startswith(BENCHMARK):
            assert importlib.util.find_spec(words[2]), line
            return
        if words[0] == "bams":
            self.run_script("bams", words[1:])
            return
        python, script, *argv = words
        assert python == "python" and script in SCRIPTS, f"{line} is neither run here nor named in NOT_RUN"
        if ">" in argv:
            with open(argv.pop(), "w") as file, contextlib.redirect_stdout(file), pytest.raises(SystemExit):
                SCRIPTS[script](argv[:-1])
            return
        self.run_script(script, argv)

    def run_script(self, script: str, argv: list[str]) -> None:
        if "--simulate" not in argv:
            self.download()
        job = argv[0] if script == "bams" else option(argv, "--job", "train")
        data = (script.replace("bams", "custom_dataset.py"), Path(option(argv, "--data_root")).suffix)
        argv = [re.sub("bams-.*-DATE", self.checkpoints.get(data, ""), word) for word in argv]
        before = set(self.folder.glob("*.pt"))
        if script in ("mouse_triplets.py", "fruit_flies.py", "simulated_quadrupeds.py"):
            Path("few.yaml").write_text(FEW[script == "simulated_quadrupeds.py"])
            argv = ["--config", "few.yaml", *argv]
        MAINS[script]([*argv, *(QUICK[script].split() if job.startswith("train") else ())])
        for new in set(self.folder.glob("*.pt")) - before:
            self.checkpoints[data] = new.stem
        self.jobs[script].add(job)

    def download(self) -> None:
        """Simulated files take the place of those to download."""
        for source, target in (("data/mabe", "data/mabe"), ("data/quadrupeds", ".")):
            for file in (self.folder / source).glob("simulated/*.*"):
                if not (self.folder / target / file.name).exists():
                    (self.folder / target / file.name).symlink_to(file)

    def run_python(self, text: str) -> None:
        trained = self.checkpoints.get(("custom_dataset.py", ".npz"), "")
        text = text.replace("bams-custom-DATE", trained).replace("epochs=50", "epochs=1, sequence_length=120")
        exec(text, {})


@pytest.mark.slow
def test_all_commands_and_python_blocks_run_in_the_order_of_the_pages(recordings: Path):
    reader = Reader(recordings)
    for page in pages():
        for language, text in blocks(page, "bash", "python"):
            if language == "python":
                reader.run_python(text)
            else:
                for line in commands(text):
                    reader.run_command(line)
    plt.close("all")
    assert reader.jobs == JOBS
    for animals in ("mouse-triplet", "fly-group"):
        assert len(list(recordings.glob(f"bams-{animals}-*_submission_scores.csv"))) == 1
    assert (recordings / "tables/d_embeddings.csv").exists()


@pytest.mark.slow
def test_fit_and_transform_give_what_the_script_writes(folder: Path):  # noqa: F811
    mice = tracks(9, 260).reshape(3, 3, 260, 12, 2)
    for i, name in enumerate(("tracks/a", "tracks/b", "new/c")):
        write_deeplabcut(folder / f"{name}.csv", mice[i, : 2 + i % 2, : 260 - 20 * i], first_frame=7)
    names: dict = {}
    exec(block_with("BAMSEmbedder.load(").replace("epochs=50", "epochs=1, sequence_length=120"), names)
    assert [one["short_term"].shape for one in names["embeddings"]] == [(260, 32)] * 2 + [(240, 32)] * 3
    run("custom_dataset.py --job compute_representations --data_root new/c.csv --fps 30 --ckpt_path mice.pt")
    with open("mice_representations/c_embeddings.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 220 and rows[0]["frame"] == "7" and float(rows[220]["time_s"]) == 7 / 30
    found = np.concatenate([one["long_term"] for one in names["new"]])
    np.testing.assert_array_equal(np.array([[row[f"long_{i}"] for i in range(32)] for row in rows], np.float32), found)


@pytest.mark.slow
def test_the_parts_of_a_checkpoint_give_what_the_script_writes(folder: Path):  # noqa: F811
    np.savez(folder / "tracks.npz", keypoints=tracks())
    run("custom_dataset.py --data_root tracks.npz --sequence_length 150 --epochs 1 --ckpt_path c.pt")
    run("custom_dataset.py --job compute_representations --data_root tracks.npz --ckpt_path c.pt")
    names: dict = {}
    exec(block_with("KeypointsDataset(").replace("bams-custom-DATE.pt", "c.pt"), names)
    written = np.load("c_representations.npz")
    np.testing.assert_allclose(names["everything"]["long_term"], written["long_term"], atol=1e-5)
    np.testing.assert_allclose(names["embs"]["short_term"][0].detach(), written["short_term"][0], atol=1e-5)


def test_the_online_block_gives_the_embedding_of_the_whole_recording(tmp_path: Path):
    recording = gappy()
    trained = custom_checkpoint(recording)
    path = checkpoint.save(tmp_path / "c.pt", trained)
    names: dict = {}
    exec(block_with("StreamingEncoder(").replace("bams-custom-DATE.pt", str(path)), names)
    found = np.stack([names["react"](recording[:, t]) for t in range(recording.shape[1])], axis=1)
    expected = offline(trained, recording, partial(recording_features, source=FeatureConfig()))["short_term"]
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    emb, present = found[:, 9], np.array([True, False, True])
    pooled = names["bams"].pool_individuals(emb[:, None], present[:, None])
    np.testing.assert_allclose(pooled[0, :3], emb[present].mean(axis=0), atol=1e-6)


def test_every_page_is_in_a_table_of_contents_and_every_link_of_the_readme_leads_somewhere():
    found = pages()
    assert len(set(found)) == len(found)
    ignored = {"_build", "generated"}
    assert set(found[1:]) == {p for p in ROOT.glob("docs/**/*.md") if not ignored & set(p.relative_to(ROOT).parts)}
    links = re.findall(r"\]\(([^)#]+)", (ROOT / "README.md").read_text())
    assert links and all((ROOT / link).exists() for link in links)


def test_the_api_reference_has_every_public_name():
    listed = set(re.findall(r"^   ([\w.]+)$", (ROOT / "docs/api.md").read_text(), flags=re.MULTILINE))
    figures = {f"plots.{name}" for name in vars(plots) if name.startswith("plot_")}
    objects = {name for name in bams.__all__ if not inspect.ismodule(getattr(bams, name))}
    assert objects | figures == {name for name in listed if not name.startswith(("checkpoint.", "simulate."))}


def test_the_pages_name_the_targets_of_the_makefile():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = [line for page in pages() for _, text in blocks(page, "bash") for line in commands(text)]
    named = {line.removeprefix("make ") for line in named if line.startswith("make ")}
    assert {"demo", "test", "docs", "torture"} <= named <= targets


def test_every_setting_that_the_pages_name_is_one_of_a_script(capsys: pytest.CaptureFixture):
    for main in SCRIPTS.values():
        with pytest.raises(SystemExit):
            main(["--help"])
    known = set(re.findall(r"--\w+", capsys.readouterr().out)) | {"--results"}  # of benchmarks.readout
    named = {flag for page in pages() for flag in re.findall(r"`(--\w+)", page.read_text())}
    assert named and named <= known
