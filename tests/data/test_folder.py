from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labkit.data import load
from labkit.errors import BadInput


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Fifty grey pictures of cats, each darker than fifty of dogs."""
    for label, name in enumerate(("cats", "dogs")):
        (tmp_path / name).mkdir()
        for i in range(50):
            array = np.full((3, 4), 100 * label + i, np.uint8)
            Image.fromarray(array).save(tmp_path / name / f"{i:02}.png")
    return tmp_path


def test_by_hand(pictures):
    mine = load(str(pictures))
    assert mine.classes == ("cats", "dogs")
    assert mine.images.shape == (100, 1, 3, 4)
    assert mine.images.dtype == np.uint8
    assert mine.images[:, 0, 1, 2].tolist() == [*range(50), *range(100, 150)]
    assert mine.labels.tolist() == [0] * 50 + [1] * 50
    assert not mine.public


def test_one_coloured_picture_makes_three_channels(pictures):
    Image.new("RGB", (4, 3), (1, 2, 3)).save(pictures / "dogs" / "99.png")
    mine = load(str(pictures))
    assert mine.images.shape == (101, 3, 3, 4)
    assert mine.images[-1, :, 0, 0].tolist() == [1, 2, 3]
    assert mine.images[10, :, 0, 0].tolist() == [10, 10, 10]


def test_hidden_files_are_left_alone(pictures):
    (pictures / "cats" / ".note").write_text("no picture")
    (pictures / ".thumbs").mkdir()
    assert len(load(str(pictures))) == 100


def test_one_folder_is_one_class(pictures):
    for file in (pictures / "dogs").iterdir():
        file.unlink()
    (pictures / "dogs").rmdir()
    with pytest.raises(BadInput, match="two classes"):
        load(str(pictures))


def test_another_size_is_named(pictures):
    Image.new("L", (5, 3)).save(pictures / "dogs" / "07.png")
    with pytest.raises(BadInput, match=r"one size; dogs/07\.png"):
        load(str(pictures))


def test_a_file_that_is_no_picture_is_named(pictures):
    (pictures / "cats" / "notes.txt").write_text("no picture")
    with pytest.raises(BadInput, match=r"cats/notes\.txt is none"):
        load(str(pictures))


def test_a_truncated_picture_is_named(pictures):
    file = pictures / "cats" / "30.png"
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(BadInput, match=r"cats/30\.png cannot"):
        load(str(pictures))


def test_sixteen_bits_are_refused_rather_than_cut(pictures):
    Image.fromarray(np.full((3, 4), 60_000, np.uint16)).save(pictures / "cats" / "30.png")
    with pytest.raises(BadInput, match="8 bits"):
        load(str(pictures))


def test_too_few_pictures(pictures):
    (pictures / "cats" / "00.png").unlink()
    with pytest.raises(BadInput, match="at least 100 examples; there are 99"):
        load(str(pictures))
