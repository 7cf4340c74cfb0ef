"""Each public function refuses arguments that make no sense, with one sentence of its own."""

import numpy as np
import pytest
from strategies import numbers, outcome

import bams
from bams import BAMS, MLP, BAMSEmbedder, CleaningConfig, KeypointsDataset, TemporalConvNet
from bams.data.labels import as_classes, as_measures
from bams.mabe import files as mabe_files
from bams.quality.drift import compare
from bams.quality.report import data_report
from bams.quality.training_summary import describe
from bams.recordings.cleaning import resample
from bams.statistics import quantise

KEYPOINTS = numbers((2, 9, 3, 2), 0)
RECORDINGS = bams.as_recordings(KEYPOINTS)
ENCODERS = {"short_term": {"num_channels": (2,)}}
EMBEDDINGS = np.ones((18, 3), np.float32)
NAN, INF = np.nan, np.inf
INFINITE = np.concatenate([KEYPOINTS[:1], np.full_like(KEYPOINTS[1:], INF)])


def make_encoder(**wrong) -> TemporalConvNet:
    right = {"input_size": 2, "num_channels": (3, 2), "kernel_size": 3, "dilation": 2, "num_layers_per_block": 1}
    return TemporalConvNet(**right | wrong)


CALLS = {
    "arrays of other axes": [
        lambda axes=axes: bams.as_recordings(np.zeros(axes))
        for axes in ((), (9, 3), (2, 0, 3, 2), (2, 9, 3, 4), (1,) * 6)
    ],
    "arrays of other types": [
        lambda dtype=dtype: bams.as_recordings(KEYPOINTS.astype(dtype)) for dtype in ("complex64", "U20", "O")
    ],
    "infinite keypoints": [lambda: bams.as_recordings(INFINITE), lambda: BAMSEmbedder().fit(INFINITE)],
    "frame rates": [lambda fps=fps: bams.as_recordings(KEYPOINTS, fps=fps) for fps in (0.0, -1.0, NAN, INF)]
    + [lambda fps=fps: resample(bams.as_recordings(KEYPOINTS, fps=30.0)[0], fps) for fps in (0.0, -1.0, NAN, INF)],
    "names and lengths": [
        lambda: bams.as_recordings(KEYPOINTS, {"keypoint_names": ["a", "b"]}),
        lambda: bams.as_recordings(KEYPOINTS, {"colours": ["red"]}),
        lambda: bams.as_recordings(KEYPOINTS, lengths=[9, 10]),
        lambda: bams.as_recordings(KEYPOINTS, lengths=[9, 2.5]),
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
    "data sets": [
        lambda: KeypointsDataset(KEYPOINTS, individuals=3),
        lambda: quantise(KEYPOINTS[0, :, 0], np.zeros((3, 3), np.float32)),
    ],
    "sizes of networks": [
        call
        for size in (0, -1, 1.5, NAN, "3", None)
        for call in (
            lambda size=size: make_encoder(num_channels=(3, size)),
            *(
                lambda name=name, size=size: make_encoder(**{name: size})
                for name in ("input_size", "kernel_size", "dilation", "num_layers_per_block")
            ),
            lambda size=size: MLP((2, size)),
            lambda size=size: BAMS(size, predictor={"hidden_layers": (-1, 2)}, **ENCODERS),
        )
    ]
    + [lambda dropout=dropout: make_encoder(dropout=dropout) for dropout in (1.0, -1.0, NAN)],
    "labels": [
        lambda: as_classes(np.array(["ü"])),
        lambda: as_measures(np.array([INF])),
        lambda: as_measures(np.array(["ü"])),
        lambda: bams.train_linear_regressor((EMBEDDINGS, np.ones(17)), (EMBEDDINGS, np.ones(18))),
    ],
    "frame maps": [
        lambda content=content: mabe_files.as_frame_map(content, "the map")
        for content in (None, [], 3, {"a": None}, {"a": (1,)}, {"a": (0, 1, 2)}, {"a": "ab"})
    ],
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
