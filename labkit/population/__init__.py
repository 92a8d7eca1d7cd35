"""The engine: K networks of one shape, initialised, trained and evaluated as one program."""

from labkit.population.architecture import Architecture
from labkit.population.clipping import Clipped
from labkit.population.cnn import CNN
from labkit.population.evaluate import Scores, evaluate
from labkit.population.memory import chunk_size, chunks, evaluation_bytes, training_bytes
from labkit.population.mlp import MLP
from labkit.population.modules import ModulePopulation
from labkit.population.optim import SGD, Adam
from labkit.population.order import epoch_batches, member_batches
from labkit.population.params import Params, concatenate, members, repeat, take, weights_per_member
from labkit.population.train import Trainer

__all__ = [
    "CNN", "MLP", "SGD", "Adam", "Architecture", "Clipped", "ModulePopulation", "Params", "Scores", "Trainer",
    "chunk_size", "chunks", "concatenate", "epoch_batches", "evaluate", "evaluation_bytes", "member_batches",
    "members", "repeat", "take", "training_bytes", "weights_per_member",
]  # fmt: skip
