"""Checkpoints and kept features of which any byte has changed, or the end is missing: noticed, or harmless."""

import io
import random
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from bams import checkpoint
from bams.data.dataset import Dataset
from bams.data.feature_tables import Track, build_table, keep, read_table
from bams.models.bams import BAMS
from bams.statistics import Statistics
from torture.tally import Tally

Read = Callable[[], list[torch.Tensor]]


def run(cases: int = 2_000, seed: int = 0) -> Tally:
    """Change bytes of a checkpoint, in half of the cases, and of each file of a cache: the bad inputs."""
    tally, rng = Tally("bytes of checkpoints and caches"), random.Random(seed)
    with TemporaryDirectory() as made:
        path = _write_checkpoint(Path(made) / "model.pt")
        _try(path, lambda: _contents(checkpoint.load(path)), cases // 2, rng, tally)
        folder = Path(made) / "cache"
        folder.mkdir()
        _write_cache(folder)
        for kept in sorted(folder.iterdir()):
            _try(kept, lambda: _rows(folder), cases // 8, rng, tally)
    return tally


def _try(path: Path, read: Read, cases: int, rng: random.Random, tally: Tally) -> None:
    """Damage a file so many times, and put it right again."""
    original, expected = path.read_bytes(), read()
    for what, content in _damaged(original, cases, rng):
        path.unlink()  # not written over: the pages of an array that is still mapped would change with it
        path.write_bytes(content)
        tally.tried += 1
        try:
            found = read()
        except (ValueError, OSError):
            tally.refused += 1
            continue
        except Exception as error:
            tally.wrong.append(f"{path.name} {what}: {type(error).__name__} {error}")
            continue
        same = len(found) == len(expected) and all(map(torch.equal, found, expected))
        tally.harmless += same
        if not same:
            tally.wrong.append(f"{path.name} {what}: other numbers")
    path.write_bytes(original)


def _damaged(original: bytes, cases: int, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """A byte changed, anywhere or near either end, where headers are; or the end cut off."""
    edge = min(512, len(original) - 1)
    for number in range(cases):
        at = rng.choice([rng.randrange(len(original)), rng.randrange(edge), len(original) - 1 - rng.randrange(edge)])
        if number % 10 == 0:
            yield f"cut at {at}", original[:at]
            continue
        changed = bytearray(original)
        changed[at] ^= 1 << rng.randrange(8)
        yield f"changed at {at}", bytes(changed)


def _write_checkpoint(path: Path) -> Path:
    torch.manual_seed(0)
    model = BAMS(3, predictor={"hidden_layers": (-1, 4, 8)}, short_term={"num_channels": (4,), "kernel_size": 3})
    statistics = Statistics(np.zeros(3, "f4"), np.ones(3, "f4"), np.zeros((2, 3), "f4"), np.ones((2, 4), int))
    made = checkpoint.Checkpoint(model, "custom", statistics, np.ones(2, "f4"), settings={"lr": 1e-3})
    return checkpoint.save(path, made)


def _contents(found: checkpoint.Checkpoint) -> list[torch.Tensor]:
    arrays = [*vars(found.statistics).values(), found.marginal_loss]
    said = repr((found.dataset, found.settings, found.features, found.progress, found.versions)).encode()
    return [*found.model.state_dict().values(), *map(torch.from_numpy, arrays), torch.tensor(list(said))]


def _write_cache(folder: Path) -> None:
    rng = np.random.default_rng(0)
    lengths = (40, 60)
    tracks = [
        Track(rng.normal(size=(n, 3)).astype("f4"), rng.normal(size=(n, 2)).astype("f4"), rng.random((n, 2)) < 0.9)
        for n in lengths
    ]
    build_table(tracks, bins=4, folder=folder)


def _anew(_: Path) -> None:
    raise ValueError("it is damaged, and would be made anew")


def _rows(folder: Path) -> list[torch.Tensor]:
    with redirect_stderr(io.StringIO()):
        table = keep(folder, _anew, read_table)
    dataset = Dataset.of_table(table, sequence_length=30)
    batch = dataset.batch(range(len(dataset)))
    return [*batch.values(), *(torch.from_numpy(np.array(value)) for value in vars(table.statistics).values())]
