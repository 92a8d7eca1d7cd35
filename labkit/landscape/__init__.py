"""Loss landscapes of one network: directions, surfaces, the training path and the sharpest curvature."""

from labkit.landscape.curvature import Eigenvalue, largest_eigenvalue
from labkit.landscape.directions import Plane, filter_normalise, gaussian_direction, random_direction, random_plane
from labkit.landscape.path import Path, path_axes, project
from labkit.landscape.surface import grid, interpolation, plane, profile, symmetric_axis

__all__ = [
    "Eigenvalue",
    "Path",
    "Plane",
    "filter_normalise",
    "gaussian_direction",
    "grid",
    "interpolation",
    "largest_eigenvalue",
    "path_axes",
    "plane",
    "profile",
    "project",
    "random_direction",
    "random_plane",
    "symmetric_axis",
]
