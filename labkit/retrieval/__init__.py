"""Dual-encoder retrieval: one small encoder, ordinary and private training, exact search and its measures."""

from labkit.retrieval.direct import PrivateDirect
from labkit.retrieval.encoder import Encoder, encode
from labkit.retrieval.logit import PrivateLogit, sensitivity
from labkit.retrieval.metrics import clustered_interval, measures, search
from labkit.retrieval.train import train

__all__ = [
    "Encoder",
    "PrivateDirect",
    "PrivateLogit",
    "clustered_interval",
    "encode",
    "measures",
    "search",
    "sensitivity",
    "train",
]
