"""Settings of the process are as they were when the last of all who changed them has ended."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from streamer.interpreter import calm_interpreter

BEFORE_S = 0.004


@pytest.fixture(autouse=True)
def usual_interval() -> Iterator[None]:
    found = sys.getswitchinterval()
    sys.setswitchinterval(BEFORE_S)
    yield
    sys.setswitchinterval(found)


@pytest.mark.parametrize("first_to_end", [0, 1])
def test_of_two_that_overlap_the_last_one_puts_back_what_the_first_one_found(first_to_end: int) -> None:
    frozen = gc.get_freeze_count()
    assert frozen == 0
    both = [ExitStack(), ExitStack()]
    both[0].enter_context(calm_interpreter(0.0005))
    both[1].enter_context(calm_interpreter(0.001))
    # The shorter one is what the other one needs too.
    assert sys.getswitchinterval() == pytest.approx(0.0005)
    both[first_to_end].close()
    assert sys.getswitchinterval() < BEFORE_S
    assert gc.get_freeze_count() > 0
    both[1 - first_to_end].close()
    assert sys.getswitchinterval() == pytest.approx(BEFORE_S)
    assert gc.get_freeze_count() == 0


def test_one_that_leaves_the_settings_alone_does_not_put_them_back_for_the_other() -> None:
    with calm_interpreter(0.0005):
        with calm_interpreter(None, freezes=False):
            pass
        assert sys.getswitchinterval() == pytest.approx(0.0005)
        assert gc.get_freeze_count() > 0
    assert sys.getswitchinterval() == pytest.approx(BEFORE_S)
    assert gc.get_freeze_count() == 0


def test_what_the_program_has_frozen_stays_frozen() -> None:
    gc.freeze()
    try:
        with calm_interpreter(0.0005):
            pass
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
