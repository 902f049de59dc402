"""A model's fault in a whole recording is raised, and is no word in the log besides."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from engine.errors import ModelError
from engine.offline import separate
from engine.worker import Worker
from streamer.processor import StemProcessor
from tests.engine.told_models import Recording, WholeWindow

AUDIO = np.full((2, 500), 0.25, np.float32)


def failing() -> Recording:
    model = Recording(WholeWindow())
    model.error = RuntimeError("no such luck")
    return model


def test_what_is_raised_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ModelError, match="no such luck"):
        separate(failing(), AUDIO, 8000)
    assert not caplog.records


def test_a_stream_that_goes_on_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    model, worker = Recording(WholeWindow()), Worker()
    with StemProcessor(model, worker=worker).prepare(sample_rate=8000, channels=2, max_block_frames=500) as stream:
        model.error = RuntimeError("no such luck")
        stream.process(AUDIO)
        stream.flush()
    assert any("goes on without it: no such luck" in record.getMessage() for record in caplog.records)
