"""What all tests share: a cache folder of their own, so that none depends on what a user or an earlier run left, and
one thread for their tiny networks, where sharing the work among more costs several times what it brings.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from engine.cache import CACHE_VARIABLE

# Read when PyTorch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True, scope="session")
def own_cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before = os.environ.get(CACHE_VARIABLE)
    os.environ[CACHE_VARIABLE] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ[CACHE_VARIABLE]
    else:
        os.environ[CACHE_VARIABLE] = before
