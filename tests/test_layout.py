"""The house: rooms import from lower floors alone, and the paths that others use stay."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import bams

# rooms by floor, see CONTRIBUTING.md; a room is a folder or a file of bams/
FLOORS = (
    "features models losses statistics plots simulate storage compute",
    "recordings data checkpoint",
    "training embed quality readout",
    "embedder mabe",
    "__init__ app",
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS, 1) for room in rooms.split()}
PACKAGE = Path(bams.__file__).parent


def imported_rooms(path: Path) -> set[str]:
    """Rooms of bams that a file imports."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = [f"{node.module}.{one.name}" for node in nodes if isinstance(node, ast.ImportFrom) for one in node.names]
    names += [one.name for node in nodes if isinstance(node, ast.Import) for one in node.names]
    return {name.split(".")[1] for name in names if name.startswith("bams.")}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_from_its_own_room_and_lower_floors_alone(path: Path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    others = imported_rooms(path) & FLOOR.keys() - {room}
    assert [other for other in others if FLOOR[other] >= FLOOR[room]] == []


PATHS = """
import bams
bams.plots.plot_latents, bams.simulate.simulate_mice, bams.HoALoss, bams.linear_eval.train_linear_classfier
bams.checkpoint.load, bams.checkpoint.trained_features, bams.checkpoint.load_released
from bams.data import Dataset, KeypointsDataset
from bams.models import BAMS
from bams.linear_eval import train_linear_classifier
import bams.plots, bams.simulate
assert all(hasattr(bams, name) for name in bams.__all__)
"""


def test_public_paths_can_be_imported_in_a_new_process():
    subprocess.run([sys.executable, "-c", PATHS], check=True)
    with pytest.raises(ModuleNotFoundError):
        __import__("bams.train")  # a function, which hides no module
