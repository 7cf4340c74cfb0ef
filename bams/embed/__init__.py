"""A trained model at work: embeddings of whole recordings, frame by frame, and as files."""

from bams.embed.export import write_embeddings
from bams.embed.offline import compute_representations
from bams.embed.online import StreamingEncoder
from bams.embed.pooled import pool_individuals
from bams.embed.tracks import TrackEmbedding

__all__ = ["StreamingEncoder", "TrackEmbedding", "compute_representations", "pool_individuals", "write_embeddings"]
