"""Embedding frame by frame gives the embeddings of the whole recording."""

import copy
import pickle
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

import fruit_flies
import mouse_triplets
from bams import StreamingEncoder, as_recordings, checkpoint, simulate
from bams.checkpoint import Checkpoint
from bams.data.dataset import Dataset
from bams.embed.offline import embed_recording
from bams.features.columns import Features
from bams.features.config import FeatureConfig
from bams.features.recording import recording_features
from bams.models.bams import BAMS
from bams.recordings.body_length import body_length
from bams.recordings.cleaning import CleaningConfig, clean
from bams.statistics import Statistics, known_inputs
from bams.training.run import new_model

TOLERANCE = 1e-5
ENCODERS = {
    "short_term": {"num_channels": (5, 4, 3), "kernel_size": 3},
    "long_term": {"num_channels": (5, 4), "kernel_size": 3, "dilation": 4},
}
NAMES = ["nose", "neck", "tail", "tip"]
OWN = partial(recording_features, source=FeatureConfig())


def gappy(individuals: int = 3, frames: int = 50, count: int = 4, dims: int = 2, seed: int = 0) -> np.ndarray:
    """(A, T, K, d): nobody in the first frame, the last animal only late; a keypoint seen once, one never."""
    rng = np.random.default_rng(seed)
    shape = (individuals, frames, count, dims)
    keypoints = rng.normal(size=shape).cumsum(axis=1) + 20 * rng.normal(size=(count, dims))
    lost = rng.random(shape[:3]) < 0.3
    lost[:, 0] = lost[-1, : frames // 2] = True
    lost[:, frames // 4 : frames // 3] = True
    lost[0, :, 0], lost[0, 3, 0], lost[0, :, 1] = True, False, True
    keypoints[lost] = np.nan
    return keypoints.astype(np.float32)


def gappy_flies() -> np.ndarray:
    """(2, 40, K, 2) of two simulated flies."""
    flies = simulate.simulate_flies(1, frames=40).keypoints[0]
    flies[np.random.default_rng(0).random(flies.shape[:3]) < 0.3] = np.nan
    return flies


def make_checkpoint(found: Features, dataset: str, about: dict | None = None, encoders: dict = ENCODERS) -> Checkpoint:
    """A network with random weights for the features, which knows their scale."""
    rng, size = np.random.default_rng(0), found.inputs.shape[-1]
    centre, scale = rng.normal(size=size).astype(np.float32), rng.uniform(0.5, 5, size).astype(np.float32)
    statistics = Statistics(centre, scale, np.zeros((1, 1), np.float32), np.ones((1, 2), np.int64))
    torch.manual_seed(0)
    model = BAMS(size, predictor={"hidden_layers": (-1, 2)}, **encoders).eval()
    model.scale.set(torch.from_numpy(centre), torch.from_numpy(scale))
    names = {"inputs": list(found.input_names), "actions": list(found.action_names)}
    return Checkpoint(model, dataset, statistics, np.ones(1, np.float32), names, about or {})


def custom_checkpoint(recording: np.ndarray, config: FeatureConfig | None = None, names=None, **options) -> Checkpoint:
    config = config or FeatureConfig()
    return make_checkpoint(recording_features(recording, config, names), "custom", asdict(config), **options)


def offline(trained: Checkpoint, recording: np.ndarray, features=OWN) -> dict[str, np.ndarray]:
    def make_inputs(part: np.ndarray) -> np.ndarray:
        return known_inputs(features(part).inputs, trained.statistics)

    ((_, embs),) = embed_recording(trained.model, recording, make_inputs)
    for emb in embs.values():
        assert emb.std(axis=1).max() > 1e-3, "all frames look alike: this recording tests less than it should"
    return embs


def stream(encoder: StreamingEncoder | Checkpoint, recording: np.ndarray) -> dict[str, np.ndarray]:
    """Every frame on its own -> by encoder name (A, T, C)."""
    encoder = StreamingEncoder(encoder) if isinstance(encoder, Checkpoint) else encoder
    found = [encoder.embed(recording[:, t]) for t in range(recording.shape[1])]
    return {name: np.stack([embs[name] for embs in found], axis=1) for name in found[0]}


def assert_same(found: dict, expected: dict, tolerance: float = TOLERANCE, relative: float = 0, first: int = 0) -> None:
    """The same embeddings, of the frames of `expected` from the first one on."""
    assert list(found) == list(expected)
    for name, emb in expected.items():
        assert found[name].dtype == np.float32 and found[name].shape == emb[:, first:].shape
        np.testing.assert_allclose(found[name], emb[:, first:], rtol=relative, atol=tolerance)


# --- equal to the whole recording ---


CONFIGS = {
    "heading": FeatureConfig(heading="keypoint3:keypoint2"),
    "predict": FeatureConfig(predict=("lengths", "observed", "approach")),
    **{f"{kind}-{n}": FeatureConfig(features=kind, others=n) for kind in ("own", "raw") for n in (0, 1, 2)},
}


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("kind", CONFIGS)
def test_frame_by_frame_equals_the_whole_recording(kind: str, dims: int):
    recording, config = gappy(dims=dims), CONFIGS[kind]
    trained = custom_checkpoint(recording, config)
    assert_same(stream(trained, recording), offline(trained, recording, partial(recording_features, source=config)))
    assert trained.model.context < recording.shape[1]


@pytest.mark.parametrize("recording", [gappy(1), gappy(2, count=8), gappy(5, count=3), gappy()[..., 0]])
def test_any_number_of_individuals_and_keypoints_and_series(recording: np.ndarray):
    trained = custom_checkpoint(recording)
    assert_same(stream(trained, recording), offline(trained, recording))


def test_mice_with_the_network_of_their_script_and_flies():
    mice = simulate.simulate_mice(1, frames=150, gaps=10).keypoints[0]
    mice[:, 0] = mice[2, :60] = np.nan
    model = new_model(Dataset(*mouse_triplets.features(mice)[:3]), mouse_triplets.SIZES, 0)
    assert model.context == 1364
    sizes = {name: model.config[name] for name in model.sizes}
    for script, recording, encoders in ((mouse_triplets, mice, sizes), (fruit_flies, gappy_flies(), ENCODERS)):
        features = script.features
        trained = make_checkpoint(features(recording), "dataset", encoders=encoders)
        assert_same(stream(StreamingEncoder(trained, features), recording), offline(trained, recording, features))


CHANNELS = st.lists(st.integers(1, 5), min_size=1, max_size=4)
NUMBERS = {"kernel_size": st.integers(1, 4), "dilation": st.integers(1, 4), "num_layers_per_block": st.integers(1, 3)}
SIZES = st.fixed_dictionaries({"num_channels": CHANNELS, **NUMBERS})


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(SIZES, min_size=1, max_size=3), st.integers(0, 1000))
def test_any_network(sizes: list[dict], seed: int):
    recording = gappy(2, 40, 3, seed=seed)[..., 0]
    trained = custom_checkpoint(recording, encoders={f"encoder{i}": some for i, some in enumerate(sizes)})
    model, rng = trained.model, np.random.default_rng(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "activation" in name:  # slopes of any kind
                weight.fill_(rng.choice([-0.5, 0.0, 0.1, 1.0, 1.7]))
            elif name.endswith("original0"):  # of weight normalisation
                weight.mul_(rng.uniform(0.5, 2))
        expected = model.encode(torch.from_numpy(known_inputs(OWN(recording).inputs, trained.statistics)))
    assert_same(stream(trained, recording), {name: emb.numpy() for name, emb in expected.items()}, relative=TOLERANCE)


# --- what it remembers ---


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))], ids=["copy", "pickle"])
def test_a_copy_continues_on_its_own_and_a_new_recording_begins_anew(duplicate):
    recording, other = gappy(), gappy(2, seed=1)
    trained = custom_checkpoint(recording)
    encoder = StreamingEncoder(trained)
    stream(encoder, recording[:, :20])
    twin = duplicate(encoder)
    for one in (other, recording):
        encoder.reset()
        assert_same(stream(encoder, one), stream(trained, one), tolerance=0)
    assert_same(stream(twin, recording[:, 20:]), stream(trained, recording), tolerance=0, first=20)


def test_neither_grows_nor_holds_on_to_arrays_and_weights():
    recording = gappy()
    trained = custom_checkpoint(recording)
    encoder, expected, kept = StreamingEncoder(trained), stream(trained, recording), recording.copy()
    trained.model.train()
    with torch.no_grad():
        for values in (*trained.model.parameters(), *trained.model.buffers()):
            values.zero_()
    first = encoder.embed(recording[:, 0])
    before = copy.deepcopy(first)
    encoder.embed(recording[:, 1])
    size, frame = len(pickle.dumps(encoder)), recording[:, 2].copy()
    encoder.embed(frame)
    frame[:] = 1e6
    assert_same(stream(encoder, recording[:, 3:]), expected, tolerance=0, first=3)
    np.testing.assert_equal((first, recording, len(pickle.dumps(encoder))), (before, kept, size))


# --- what does not fit ---


BAD_FRAMES = {
    "another number of individuals": (gappy(2)[:, 2], "give NaN for absent individuals"),
    "another number of keypoints": (gappy(count=5)[:, 2], "the frames before it"),
    "several frames": (gappy()[:, :2], "expected .individuals, keypoints, coordinates"),
    "nobody": (gappy()[:0, 2], "none of them 0"),
    "infinite": (np.where(np.isnan(gappy()[:, 2]), np.inf, 0), "infinite"),
    "text": (np.full((3, 4, 2), "left"), "not numbers"),
}


@pytest.mark.parametrize("kind", BAD_FRAMES)
def test_a_frame_that_does_not_fit_is_skipped(kind: str):
    frame, said = BAD_FRAMES[kind]
    recording = gappy()
    trained = custom_checkpoint(recording)
    encoder = StreamingEncoder(trained)
    stream(encoder, recording[:, :20])
    with refused(said):
        encoder.embed(frame)
    assert_same(stream(encoder, recording[:, 20:]), stream(trained, recording), tolerance=0, first=20)


def test_a_first_frame_that_does_not_fit_is_skipped():
    recording = gappy()
    trained = custom_checkpoint(recording)
    encoder = StreamingEncoder(trained)
    for frame in (gappy(count=3)[:, 2], gappy(dims=3)[:, 2], recording[0, 2], recording[:, 2, :, 0]):
        with pytest.raises(ValueError, match=r"the checkpoint was trained on"):
            encoder.embed(frame)
    assert_same(stream(encoder, recording), stream(trained, recording))


def test_names_of_keypoints_are_those_of_training():
    recording = gappy()
    trained = custom_checkpoint(recording, names=NAMES)
    expected = offline(trained, recording, partial(OWN, names=NAMES))
    for same in (NAMES, np.array(NAMES)):
        assert_same(stream(StreamingEncoder(trained, keypoint_names=same), recording), expected)
    for others in (None, NAMES[::-1]):
        with pytest.raises(ValueError, match="by the same names"):
            StreamingEncoder(trained, keypoint_names=others).embed(recording[:, 0])


def test_features_are_given_once_or_are_those_of_the_file(tmp_path: Path):
    mice = simulate.simulate_mice(1, frames=3).keypoints[0]
    path = checkpoint.save(tmp_path / "m.pt", make_checkpoint(mouse_triplets.features(mice), "mouse_triplet"))
    with pytest.raises(ValueError, match=r"checkpoint of mouse_triplet.*give them"):
        StreamingEncoder(path)
    with pytest.raises(ValueError, match="not both"):
        StreamingEncoder(path, mouse_triplets.features, simulate.KEYPOINTS)
    with pytest.raises(ValueError, match=r"m\.pt was trained on"):
        StreamingEncoder(path, OWN).embed(mice[:, 0])
    with pytest.raises(ValueError, match="does not fit the features"):
        StreamingEncoder(path, mouse_triplets.features).embed(mice[:, 0, :11])
    trained = custom_checkpoint(gappy(), FeatureConfig(heading="keypoint3:keypoint2", predict=("movement",)))
    assert_same(stream(StreamingEncoder(str(checkpoint.save(path, trained))), gappy()), stream(trained, gappy()))


# --- as in training ---


def cleaned_checkpoint(recording: np.ndarray, reference: dict | None = None, **cleaning) -> Checkpoint:
    trained = custom_checkpoint(recording)
    settings = {**trained.settings, **asdict(CleaningConfig(**cleaning))}
    return replace(trained, settings=settings, reference=reference or {})


def test_positions_are_divided_by_the_body_length_where_training_did_so(tmp_path: Path):
    recording, length = gappy(), 13.7
    (in_lengths,) = clean(as_recordings(recording[None]), CleaningConfig(unit="body"))
    assert body_length(recording) != pytest.approx(length)
    trained = cleaned_checkpoint(in_lengths.keypoints, unit="body")
    expected = offline(trained, (recording / np.float32(length)).astype(np.float32))
    path = checkpoint.save(tmp_path / "m.pt", trained)
    for unit in (length, np.float64(length)):
        assert_same(stream(StreamingEncoder(path, body_length=unit), recording), expected)
    own = StreamingEncoder(trained, body_length=body_length(recording))
    assert_same(stream(own, recording), offline(trained, in_lengths.keypoints))
    for bad in (None, 0, -2.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"m\.pt was trained on positions in body lengths: give body_length="):
            StreamingEncoder(path, body_length=bad)
    with pytest.raises(ValueError, match="leave body_length out"):
        StreamingEncoder(custom_checkpoint(recording), body_length=length)


@pytest.mark.parametrize(
    ("cleaning", "reference", "said"),
    [
        ({}, {}, ""),
        ({}, {"fps": 25.0}, "at 25 per second"),
        ({"resample": 12.5}, {"fps": 12.5}, "at 12.5 per second"),
        ({"rename": "a:nose"}, {}, "with keypoints renamed as a:nose"),
        ({"keypoints": "nose,tail"}, {}, "with the keypoints nose, tail"),
        ({"rename": "a:nose"}, {"keypoint_names": ("nose", "tail", "x", "y")}, "with the keypoints nose, tail, x, y"),
        ({"min_confidence": 0.6}, {}, "with NaN for positions of a confidence below 0.6"),
        ({"max_jump": 2.5}, {}, "with NaN for jumps of more than 2.5 body lengths per frame"),
        ({"resample": 30, "interpolate": 4}, {}, "at 30 per second, with gaps of up to 4 frames filled"),
    ],
)
def test_what_frames_must_be_like_is_said_once(capsys, cleaning, reference, said):
    recording, names = gappy(), reference.get("keypoint_names")
    trained = cleaned_checkpoint(recording, reference, **cleaning)
    features = recording_features(recording, FeatureConfig(), names)
    trained = replace(trained, features={"inputs": list(features.input_names), "actions": list(features.action_names)})
    stream(StreamingEncoder(trained), recording[:, :3])
    assert capsys.readouterr() == ("", f"frames are expected {said}, as in training\n" if said else "")
