"""The loss around three networks of one replicate, before and after training, as arrays for the charts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import torch

from labkit.experiments.random_search.replicate import Replicate
from labkit.generators import relay
from labkit.landscape import (
    grid,
    interpolation,
    largest_eigenvalue,
    path_axes,
    plane,
    profile,
    project,
    random_direction,
    random_plane,
    symmetric_axis,
)
from labkit.population import Params, concatenate, take
from labkit.runs.events import Artifact, Event, Point, Progress
from labkit.search import Candidates, advance
from labkit.streams import stream, stream_seed

IMAGES = 1000  # training images in a landscape's loss
RADIUS = 1.0  # in filter-normalised units: at 1 a direction is as long as the weights themselves
PROFILE = 41  # points of a one-dimensional profile
CURVED = 500  # training images in a Hessian
ARMS = ("dense", "found", "first")


def pictures(r: Replicate, found: int) -> Iterator[Event]:
    """Landscapes, interpolations, paths and curvatures of the dense parent, the found network and the first draw.

    The three train once more side by side with snapshots, as masked networks of the parent's shape.
    """
    networks = three(r, found)
    snapshots = [networks.params]
    trainer = r.recipe.trainer(networks, r.data, r.order_seed("order"))
    for step in r.recipe.looks():
        for _ in advance(trainer, step):
            yield Progress(r.done, r.total, f"training for landscapes, step {trainer.done}")
        snapshots.append({name: tensor.clone() for name, tensor in trainer.params.items()})
    yield from surfaces(r, networks, snapshots)
    yield from lines(r, snapshots)
    yield from paths(r, snapshots)
    yield from curvatures(r, networks, snapshots)


def three(r: Replicate, found: int) -> Candidates:
    """The dense parent, the found network and the first draw as one masked population."""
    sparse = r.space.masked(r.parent, [found, 0])
    masks = {name: torch.ones_like(tensor) for name, tensor in r.parent.items()}
    both = {
        n: torch.cat([m, sparse.masks[n] if n in sparse.masks else m.expand(2, *m.shape[1:])]) for n, m in masks.items()
    }
    return Candidates(sparse.arch, concatenate([r.parent, sparse.params]), both)


def surfaces(r: Replicate, networks: Candidates, snapshots: list[Params]) -> Iterator[Event]:
    """A plane around each network, and for sparse ones a line inside and a line outside the mask."""
    x, y = r.data.train.x[:IMAGES], r.data.train.y[:IMAGES]
    for (k, arm), when in product(enumerate(ARMS), ("before", "after")):
        params = take(snapshots[0 if when == "before" else -1], [k])
        mask = None if arm == "dense" else take(networks.masks, [k])
        said = lambda _: Progress(r.done, r.total, f"landscape of {arm}, {when} training")  # noqa: B023, E731
        seed = stream_seed(r.seed, "landscape", arm)  # the same directions before and after
        directions = random_plane(params, torch.Generator().manual_seed(seed), mask)
        steps = plane(r.arch, params, directions.first, directions.second, RADIUS, r.point.landscape_size, x, y)
        loss = yield from relay(steps, said)
        arrays = {
            "loss": loss.cpu(),
            "axis": symmetric_axis(RADIUS, r.point.landscape_size),
            "radius": torch.tensor(RADIUS),
            "direction_seed": torch.tensor(seed),
            "cosine": torch.tensor(directions.cosine),
        }
        if mask is not None:
            arrays["profile_axis"] = symmetric_axis(RADIUS, PROFILE)
            for inside in (True, False):
                generator = stream(r.seed, "profile", arm)
                direction = random_direction(params, generator, mask, inside)
                steps = profile(r.arch, params, direction, RADIUS, PROFILE, x, y)
                arrays["profile_inside" if inside else "profile_outside"] = (yield from relay(steps, said)).cpu()
        yield Artifact(f"landscape-{arm}-{when}", arrays)


def lines(r: Replicate, snapshots: list[Params]) -> Iterator[Event]:
    """The loss on the straight line from each initialisation to what training made of it, and a little beyond."""
    x, y = r.data.train.x[:IMAGES], r.data.train.y[:IMAGES]
    shares = torch.arange(-5, 26, dtype=torch.float64) / 20  # 0 and 1 are among them
    arrays = {"axis": shares}
    for k, arm in enumerate(ARMS):
        steps = interpolation(r.arch, take(snapshots[0], [k]), take(snapshots[-1], [k]), shares, x, y)
        losses = yield from relay(steps, lambda _: Progress(r.done, r.total, "from start to end in a straight line"))
        arrays[arm] = losses.cpu()
    yield Artifact("interpolation", arrays)


def paths(r: Replicate, snapshots: list[Params]) -> Iterator[Event]:
    """The training path of each network on its two principal components, with the surface under it."""
    x, y = r.data.train.x[:IMAGES], r.data.train.y[:IMAGES]
    for k, arm in enumerate(ARMS):
        path = project([take(params, [k]) for params in snapshots])
        across, up = path_axes(path.coordinates, r.point.landscape_size)
        last = take(snapshots[-1], [k])
        steps = grid(r.arch, last, path.first, path.second, across, up, x, y)
        loss = yield from relay(steps, lambda _: Progress(r.done, r.total, "surface under the training path"))
        yield Artifact(
            f"path-{arm}",
            {
                "coordinates": path.coordinates.cpu(),
                "steps": torch.tensor([0, *r.recipe.looks()]),
                "explained": path.explained.cpu(),
                "loss": loss.cpu(),
                "axis_x": across.cpu(),
                "axis_y": up.cpu(),
            },
        )


def curvatures(r: Replicate, networks: Candidates, snapshots: list[Params]) -> Iterator[Event]:
    """The Hessian's largest eigenvalue at each network, over the weights that it keeps."""
    x, y = r.data.train.x[:CURVED], r.data.train.y[:CURVED]
    for (k, arm), when in product(enumerate(ARMS), ("before", "after")):
        params = take(snapshots[0 if when == "before" else -1], [k])
        steps = largest_eigenvalue(
            r.arch, params, x, y, stream(r.seed, "curvature"), iterations=50, mask=take(networks.masks, [k])
        )
        found = yield from relay(steps, lambda _: Progress(r.done, r.total, "curvature"))
        yield Point("curvature", {"arm": arm, "when": when, "eigenvalue": found.value, "residual": found.residual})
