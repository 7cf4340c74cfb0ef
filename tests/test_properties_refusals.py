"""Each public function refuses arguments that make no sense, with one sentence of its own."""

import numpy as np
import pytest
import torch
from strategies import make_checkpoint, make_model, numbers, outcome

import bams
from bams import BAMS, MLP, BAMSEmbedder, CleaningConfig, FeatureConfig, KeypointsDataset, TemporalConvNet
from bams.data.labels import as_classes, as_measures
from bams.features.raw import keypoint_features
from bams.mabe import files as mabe_files
from bams.quality.drift import compare
from bams.quality.report import data_report
from bams.quality.training_summary import describe
from bams.recordings.cleaning import resample
from bams.statistics import fit_statistics, quantise

KEYPOINTS = numbers((2, 9, 3, 2), 0)
RECORDINGS = bams.as_recordings(KEYPOINTS)
ENCODERS = {"short_term": {"num_channels": (2,)}}
ROWS = {"a": (0, 9), "b": (9, 18)}
EMBEDDINGS = np.ones((18, 3), np.float32)
NAN, INF = np.nan, np.inf


def changed(**values) -> list:
    """A call of an encoder with one wrong size."""
    right = {"input_size": 2, "num_channels": (3, 2), "kernel_size": 3, "dilation": 2, "num_layers_per_block": 1}
    return [lambda: TemporalConvNet(**right | values)]


def with_infinity(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flat[0] = np.inf
    return array


CALLS = {
    "arrays of other axes": [
        lambda axes=axes: bams.as_recordings(np.zeros(axes))
        for axes in ((), (9, 3), (2, 0, 3, 2), (2, 9, 3, 4), (1,) * 6)
    ],
    "arrays of other types": [
        lambda dtype=dtype: bams.as_recordings(KEYPOINTS.astype(dtype)) for dtype in ("complex64", "U20", "O")
    ],
    "infinite keypoints": [
        lambda: bams.as_recordings(with_infinity(KEYPOINTS)),
        lambda: KeypointsDataset(with_infinity(KEYPOINTS)),
        lambda: BAMSEmbedder().fit(with_infinity(KEYPOINTS)),
    ],
    "frame rates": [lambda fps=fps: bams.as_recordings(KEYPOINTS, fps=fps) for fps in (0.0, -1.0, NAN, INF)]
    + [lambda fps=fps: resample(bams.as_recordings(KEYPOINTS, fps=30.0)[0], fps) for fps in (0.0, -1.0, NAN, INF)],
    "names and lengths": [
        lambda: bams.as_recordings(KEYPOINTS, {"keypoint_names": ["a", "b"]}),
        lambda: bams.as_recordings(KEYPOINTS, {"colours": ["red"]}),
        lambda: bams.as_recordings(KEYPOINTS, lengths=[9, 10]),
        lambda: bams.as_recordings(KEYPOINTS, lengths=[9, 2.5]),
        lambda: keypoint_features(KEYPOINTS, ["a"]),
    ],
    "recordings to fit": [
        lambda given=given: BAMSEmbedder(epochs=1).fit(given)
        for given in (None, [], 3, "text", [np.zeros(4)], np.zeros((0, 4, 3, 2)), [KEYPOINTS[0], KEYPOINTS[0, :, :2]])
    ],
    "cleaning": [
        lambda options=options: CleaningConfig(**options)
        for options in (
            *({"resample": -1.0}, {"resample": NAN}, {"rename": "a"}, {"rename": "a:b:c"}, {"keypoints": ","}),
            *({"keypoints": "a,a"}, {"min_confidence": -1.0}, {"max_jump": NAN}, {"interpolate": -1}, {"unit": "mm"}),
        )
    ],
    "features": [
        lambda options=options: FeatureConfig(**options)
        for options in (
            *({"features": "camera"}, {"predict": ("x",)}, {"predict": ("distances",)}, {"others": -1}),
            {"features": "raw", "heading": "a:b"},
        )
    ]
    + [
        lambda heading=heading: KeypointsDataset(KEYPOINTS, config=FeatureConfig(heading=heading))
        for heading in ("a", ":", "keypoint0:keypoint0", "ü:\0")
    ],
    "data sets": [
        lambda: KeypointsDataset(KEYPOINTS, individuals=3),
        lambda: KeypointsDataset(KEYPOINTS[:, :1]),
        lambda: KeypointsDataset(np.full_like(KEYPOINTS, NAN)),
        lambda: KeypointsDataset(KEYPOINTS, sequence_length=0),
        lambda: bams.Dataset(KEYPOINTS[..., 0], KEYPOINTS[..., 0], np.ones((3, 9), bool), hoa_bins=4),
        lambda: fit_statistics(KEYPOINTS[0, :, 0], KEYPOINTS[0, :, 0], np.zeros((9, 2), bool), 4),
        lambda: quantise(KEYPOINTS[0, :, 0], np.zeros((3, 3), np.float32)),
    ],
    "sizes of networks": [
        call
        for size in (0, -1, 1.5, NAN, "3", None)
        for call in (
            *changed(input_size=size),
            *changed(num_channels=(3, size)),
            *changed(kernel_size=size),
            *changed(dilation=size),
            *changed(num_layers_per_block=size),
            lambda size=size: MLP((2, size)),
            lambda size=size: BAMS(size, predictor={"hidden_layers": (-1, 2)}, **ENCODERS),
        )
    ]
    + [call for dropout in (1.0, -1.0, NAN) for call in changed(dropout=dropout)]
    + [lambda: BAMS(2, predictor={"hidden_layers": (-1, 2)}, a={"num_channels": (2,), "bootstrap": "NEAR"})],
    "inputs of the network": [
        lambda x=x: make_model(3)(x)
        for x in (
            *(torch.zeros(4, 3), torch.zeros(1, 4, 2), torch.zeros(1, 0, 3), torch.zeros(0, 4, 3)),
            *(torch.full((1, 4, 3), INF), torch.zeros(1, 4, 3, dtype=torch.int64)),
        )
    ],
    "frames of a stream": [
        lambda axes=axes: bams.StreamingEncoder(make_checkpoint(KeypointsDataset(KEYPOINTS))).embed(np.zeros(axes))
        for axes in ((2, 4, 2), (2, 3, 1), (2,), (0, 3, 2))
    ],
    "labels": [
        lambda: as_classes(np.array(["ü"])),
        lambda: as_measures(np.array([INF])),
        lambda: as_measures(np.array(["ü"])),
        lambda: bams.train_linear_classifier((with_infinity(EMBEDDINGS), np.arange(18) % 2), (EMBEDDINGS, np.ones(18))),
        lambda: bams.train_linear_regressor((EMBEDDINGS, np.ones(17)), (EMBEDDINGS, np.ones(18))),
        lambda: bams.evaluate_labels({"e": EMBEDDINGS}, {"y": np.ones(17)}, np.arange(18)),
    ],
    "submissions": [
        lambda embeddings=embeddings: mabe_files.write_submission("none.npy", ROWS, embeddings, ROWS, 3)
        for embeddings in (EMBEDDINGS[1:], np.ones((18, 4), np.float32), np.ones((18, 3)), with_infinity(EMBEDDINGS))
    ],
    "frame maps": [
        lambda content=content: mabe_files.as_frame_map(content, "the map")
        for content in (None, [], 3, {"a": None}, {"a": (1,)}, {"a": (0, 1, 2)}, {"a": "ab"})
    ]
    + [lambda: mabe_files.check_frame_map(ROWS, ["a", "b"], [9, 8], "the map")],
    "outputs": [
        lambda: data_report([]),
        lambda: compare(describe(RECORDINGS), bams.as_recordings(KEYPOINTS[:, :, :2])),
        lambda: bams.write_embeddings("none", [bams.TrackEmbedding("a", "b", {"e": EMBEDDINGS})], "xlsx"),
    ],
}


@pytest.mark.parametrize(
    "call", [pytest.param(call, id=f"{what} {i}") for what, calls in CALLS.items() for i, call in enumerate(calls)]
)
def test_what_makes_no_sense_is_refused(call):
    outcome(call, refused=True)
