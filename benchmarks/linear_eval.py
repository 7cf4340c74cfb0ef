"""Time and memory of linear read-outs of 1 million frames x 128 numbers x 8 labels.

    python -m benchmarks.linear_eval [--frames 1000000 --channels 128 --folds 5]

For comparison, scikit-learn's RidgeClassifier reads out the first label on a tenth of the frames, fold by fold.
"""

import argparse
import resource
import time

import numpy as np
from sklearn.linear_model import RidgeClassifier

from bams.readout.linear_eval import evaluate_labels

CLASSES = (2, 2, 3, 4, 5, 8)  # numbers of classes of six labels; two more labels are continuous


def main() -> None:
    """Read the command line, make random data, and print times, memory and scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--groups", type=int, default=100)
    parser.add_argument("--folds", type=int, default=5)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    emb = rng.standard_normal((args.frames, args.channels), dtype=np.float32)
    groups = np.sort(rng.integers(0, args.groups, args.frames))
    labels = {}
    for i, count in enumerate(CLASSES):
        seen = emb @ rng.standard_normal((args.channels, count), dtype=np.float32)
        labels[f"classes{i}"] = (seen + 10 * rng.standard_normal(seen.shape, dtype=np.float32)).argmax(1)
    for i in range(2):
        labels[f"measure{i}"] = emb[:, i] + rng.standard_normal(args.frames)
    before = peak_gib()
    begun = time.perf_counter()
    table = evaluate_labels({"x": emb}, labels, groups, regression=["measure0", "measure1"], folds=args.folds)
    took = time.perf_counter() - begun
    print(
        f"{args.frames:,} frames x {args.channels} numbers x {len(labels)} labels, {args.folds} folds: "
        f"{took:.0f} s; peak memory {peak_gib():.2f} GiB, of which {before:.2f} GiB before"
    )
    some = slice(None, None, 10)
    ours = evaluate_labels({"x": emb[some]}, {"classes0": labels["classes0"][some]}, groups[some], folds=args.folds)
    begun = time.perf_counter()
    plain = evaluate_labels(
        {"x": emb[some]},
        {"classes0": labels["classes0"][some]},
        groups[some],
        folds=args.folds,
        classifier=RidgeClassifier(class_weight="balanced"),
    )
    scores = [found["classes0"].rows["x"]["macro F1"].value for found in (ours, plain)]
    print(
        f"scikit-learn alone, a tenth of the frames and one label: {time.perf_counter() - begun:.1f} s; "
        f"macro F1 {scores[1]:.6f}, ours {scores[0]:.6f}; over all frames "
        f"{table['classes0'].rows['x']['macro F1'].value:.4f}"
    )


def peak_gib() -> float:
    """Peak memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
