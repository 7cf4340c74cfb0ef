"""What a linear model reads out of embeddings (decoding), and what that is compared with."""

from bams.readout.linear_eval import evaluate_labels, train_linear_classifier, train_linear_regressor

__all__ = ["evaluate_labels", "train_linear_classifier", "train_linear_regressor"]
