"""No test leaves anything in the user's own cache, or finds anything there."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMSTREAM_CACHE", str(tmp_path_factory.mktemp("cache")))
