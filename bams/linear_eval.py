"""Linear read-outs: what a plain classifier finds in an embedding (scikit-learn)."""

import numpy as np
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def cross_validated_f1(
    features: np.ndarray, classes: np.ndarray, groups: np.ndarray, folds: int = 5
) -> np.ndarray:
    """Macro F1 of a class-balanced ridge classifier, with whole groups held out.

    Standardised on the training part only.

    Args:
        features: (frames, C) float, finite.
        classes: (frames,) int or str.
        groups: (frames,) int; all frames of a group (a recording, say) are on the same side.
        folds: each group is held out in one of them.

    Returns:
        (folds,) float, the F1 of each fold, mean over the classes that occur in its held-out part.

    Raises:
        ValueError: fewer groups than folds.
    """
    if len(np.unique(groups)) < folds:
        raise ValueError(f"{len(np.unique(groups))} groups cannot be held out in {folds} folds: add recordings")
    splits = GroupKFold(folds, shuffle=True, random_state=0).split(features, classes, groups)
    scores = []
    for train, test in splits:
        classifier = make_pipeline(StandardScaler(), RidgeClassifier(alpha=1.0, class_weight="balanced"))
        predicted = classifier.fit(features[train], classes[train]).predict(features[test])
        occurring = np.unique(classes[test])
        scores.append(f1_score(classes[test], predicted, labels=occurring, average="macro"))
    return np.array(scores)
