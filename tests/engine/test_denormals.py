"""Denormal numbers are zero within the block, on the thread that runs it."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from engine import denormals
from engine.denormals import DenormalsAsZero

TINY = np.full(64, 1e-39, np.float32)

needs_support = pytest.mark.skipif(not DenormalsAsZero().supported, reason="not known for this platform")


def flushes() -> bool:
    return not (TINY * np.float32(0.5)).any()


@needs_support
def test_the_threads_own_setting_comes_back() -> None:
    before = flushes()
    block = DenormalsAsZero()
    for _ in range(2):
        with block:
            assert flushes()
        assert flushes() == before


@needs_support
def test_it_comes_back_after_an_exception_too() -> None:
    before = flushes()
    with pytest.raises(ZeroDivisionError), DenormalsAsZero():
        raise ZeroDivisionError
    assert flushes() == before


@needs_support
def test_an_inner_block_leaves_the_outer_one_in_force() -> None:
    with DenormalsAsZero():
        with DenormalsAsZero():
            assert flushes()
        assert flushes()


@needs_support
def test_other_threads_go_on_as_they_were() -> None:
    inside, seen = threading.Event(), []

    def look() -> None:
        before = flushes()
        ready.set()
        inside.wait()
        seen.append(flushes() == before)

    ready = threading.Event()
    thread = threading.Thread(target=look)
    thread.start()
    ready.wait()
    with DenormalsAsZero():
        inside.set()
        thread.join()
    assert seen == [True]


def test_ordinary_numbers_stay_as_they_are() -> None:
    smallest = np.finfo(np.float32).tiny
    with DenormalsAsZero():
        assert np.float32(2) * smallest == 2 * float(smallest)


def test_the_block_does_nothing_on_an_unknown_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    monkeypatch.setattr(denormals, "_control", denormals._find_control())
    before = flushes()
    with DenormalsAsZero() as block:
        assert not block.supported
        assert flushes() == before
