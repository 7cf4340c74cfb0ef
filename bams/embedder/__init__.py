"""Fit and transform: the one assembly of recordings, features, network and training."""

from bams.embedder.estimator import BAMSEmbedder

__all__ = ["BAMSEmbedder"]
