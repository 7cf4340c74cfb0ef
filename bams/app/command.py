"""The command `bams`: the jobs of your own recordings, with the settings of the scripts."""

from collections.abc import Sequence

from bams.app import custom
from bams.app.labelled import read_labels
from bams.app.script import script
from bams.recordings.load import load_poses

# what a command does, and the job of the scripts that it runs
COMMANDS = {
    "report": ("say what recordings are like, and what to mend before training", "report"),
    "train": ("learn embeddings of recordings, without labels", "train"),
    "train_labelled": ("the same, then read out the labels that stand in the .npz of the keypoints", "train"),
    "embed": ("embed every frame of recordings with a trained model (--ckpt_path)", "compute_representations"),
    "all": ("report, train, embed, and draw figures", "all"),
}


@script
def main(argv: Sequence[str]) -> None:
    """Run one command."""
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: bams COMMAND [--setting value ...]\n")
        print("\n".join(f"  {name:16}{text}" for name, (text, _) in COMMANDS.items()))
        print("\nbams COMMAND --help lists the settings of a command, for example bams train --help")
        return
    command, *flags = argv
    if command not in COMMANDS:
        raise ValueError(f"there is no command {command!r}; choose from {', '.join(COMMANDS)}")
    flags += ["--job", COMMANDS[command][1]]
    labels = read_labels if command == "train_labelled" else None
    custom.main(flags, load_poses, labels)
