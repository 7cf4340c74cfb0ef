"""The network: causal temporal convolutional encoders and the predictors that train them."""

from bams.models.bams import BAMS, MLP
from bams.models.tcn import TemporalConvNet

__all__ = ["BAMS", "MLP", "TemporalConvNet"]
