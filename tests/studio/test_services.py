"""The studio's services: the cache of decoded images."""

from __future__ import annotations

import numpy as np
import pytest

from engines.imaging.images import LoadedImage
from studio.services import ImageCache


def image_of(side: int) -> LoadedImage:
    """An image of 3 * side * side bytes."""
    return LoadedImage(np.zeros((side, side, 3), np.uint8))


@pytest.fixture
def paths(tmp_path) -> list[str]:
    """Three files."""
    paths = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    for path in paths:
        path.write_bytes(b"pixels")
    return [str(path) for path in paths]


def test_the_least_recently_used_images_are_evicted_and_the_newest_is_kept_whatever_its_size(paths):
    cache = ImageCache(max_bytes=2 * 3 * 10 * 10)
    a, b, c = paths
    for path in (a, b):
        cache.put(path, "white", 16, image_of(10))
    assert cache.get(a, "white", 16) is not None
    cache.put(c, "white", 16, image_of(10))
    assert [cache.get(path, "white", 16) is not None for path in paths] == [True, False, True]
    cache.put(b, "white", 16, image_of(100))
    assert [cache.get(path, "white", 16) is not None for path in paths] == [False, True, False]


def test_an_image_read_in_another_way_or_from_a_changed_or_missing_file_is_not_in_the_cache(paths, tmp_path):
    cache, path = ImageCache(), paths[0]
    cache.put(path, "white", 16, image_of(10))
    assert cache.get(path, "black", 16) is None
    assert cache.get(path, "white", 1) is None
    (tmp_path / "a.png").write_bytes(b"other pixels")
    assert cache.get(path, "white", 16) is None
    (tmp_path / "a.png").unlink()
    assert cache.get(path, "white", 16) is None
