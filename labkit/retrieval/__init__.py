"""Dual-encoder retrieval: one small encoder, ordinary and private training, exact search and its measures."""

from labkit.retrieval.encoder import Encoder, encode
from labkit.retrieval.metrics import clustered_interval, measures, search
from labkit.retrieval.train import train

__all__ = ["Encoder", "clustered_interval", "encode", "measures", "search", "train"]
