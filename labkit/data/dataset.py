"""The record that every loader returns."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Dataset:
    """Labelled images as they were read, before any split, thinning or relabelling.

    Args:
        name: a short name for titles; no path.
        images: uint8 or float32 [n, channels, height, width]; uint8 means 0 to 255.
        labels: int64 [n], each the place of its class in `classes`.
        classes: the names of the classes.
        licence: what may be done with the data, and whose it is.
        public: whether the data are published; the fingerprint of any other data is keyed.
        mean, std: the constants of `scaled`. They are fixed beside the loader, or declared public by the data's owner,
            and never computed here: statistics of a private training split would leak and would have to be charged.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    licence: str
    public: bool
    mean: float = 0.0
    std: float = 1.0

    def __len__(self) -> int:
        return len(self.labels)

    def scaled(self) -> np.ndarray:
        """The images as float32, of about zero mean and unit deviation over all pixels; uint8 first becomes 0 to 1."""
        images = self.images.astype(np.float32)
        if self.images.dtype == np.uint8:
            images /= np.float32(255)
        return (images - np.float32(self.mean)) / np.float32(self.std)

    def fingerprint(self, key: bytes = b"") -> str:
        """64 hexadecimal digits that name these images, labels, classes and constants, wherever they were read from.

        Public data get a plain SHA-256. Any other data get an HMAC-SHA256 under `key`: whoever guesses a record could
        confirm with a plain hash that it is in the data.

        Raises:
            ValueError: the data are not public and no key was given.
        """
        if not self.public and not key:
            raise ValueError(f"the fingerprint of {self.name}, which is not public, needs the store's key")
        described = {
            "images": [*self.images.shape, str(self.images.dtype)],
            "classes": self.classes,
            "mean": self.mean,
            "std": self.std,
        }
        digest = hashlib.sha256() if self.public else hmac.new(key, digestmod=hashlib.sha256)
        digest.update(json.dumps(described, sort_keys=True).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()
