"""The latency of a session from plug to plug: what is asked for is what it has, and a measured device counts."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from engine.errors import ConfigurationError, LatencyError
from streamer.audio.stream import DeviceLatency, StreamFormat
from streamer.calibration import Calibration, CalibrationKey, store_calibration
from streamer.testing import DelaySeparator, IdentitySeparator
from tests.streamer.scripted_device import LOOP, RATE, STATED, ScriptedDevice
from tests.streamer.scripted_session import BLOCK, processor_on, returned, run, session_on

RING_BLOCKS = 3


def calibrate(device_frames: int) -> None:
    """Store what a measurement of the scripted device gave."""
    asked = StreamFormat(LOOP, LOOP, RATE, 2, 2, BLOCK, RING_BLOCKS)
    store_calibration(CalibrationKey.of(asked, DeviceLatency(*STATED)), Calibration(device_frames, 0, 20))


@pytest.mark.parametrize("latency_s", [0.075, 0.1, 0.123456, 0.25])
@pytest.mark.parametrize("model", [IdentitySeparator, DelaySeparator])
def test_devices_ring_and_processor_add_up_to_what_was_asked_for(
    device: ScriptedDevice, latency_s: float, model: Any
) -> None:
    session = session_on(device, processor_on(device, model(sample_rate=RATE)), latency_s=latency_s)
    run(session, device, RATE)
    latency = session.latency
    assert latency.total_frames == math.floor(latency_s * RATE)
    assert sum(latency.parts.values()) == latency.total_frames
    assert returned(device, latency.total_frames - sum(STATED)).all()
    assert session.stats().measured_frames == latency.total_frames


@pytest.mark.parametrize("device_frames", [None, 480])
@pytest.mark.parametrize("latency_s", [0.0001, 0.02, 0.04])
def test_too_little_is_refused_with_the_smallest_that_works(
    device: ScriptedDevice, latency_s: float, device_frames: int | None
) -> None:
    if device_frames is not None:
        calibrate(device_frames)
    separator = DelaySeparator(sample_rate=RATE, hop_frames=1000)
    with pytest.raises(LatencyError) as caught:
        session_on(device, processor_on(device, separator), latency_s=latency_s).start()
    (told,) = re.findall(r"the smallest that works here is ([0-9.]+) ms", str(caught.value))
    assert str(caught.value).startswith(f"{1000 * latency_s:g} ms from end to end are too little for 'delay'")
    assert caught.value.smallest_s == pytest.approx(float(told) / 1000)
    assert caught.value.exit_code == 2
    # Both what the message says and what the error holds.
    for smallest_s in (float(told) / 1000, caught.value.smallest_s):
        assert smallest_s is not None
        with session_on(device, processor_on(device, separator), latency_s=smallest_s) as session:
            assert session.latency.total_frames == math.floor(smallest_s * RATE + 1e-6)
    # Seconds are told in steps of 10 us, rounded up once for the model and once for all.
    with pytest.raises(LatencyError):
        session_on(device, processor_on(device, separator), latency_s=float(told) / 1000 - 2 / RATE).start()


@pytest.mark.parametrize("latency_s", ["50", True, float("nan"), float("inf")])
def test_what_is_no_latency_is_refused(device: ScriptedDevice, latency_s: Any) -> None:
    with pytest.raises(ConfigurationError, match="is not a latency: give seconds above 0"):
        session_on(device, latency_s=latency_s).start()


def test_without_a_measurement_the_driver_is_believed_and_the_report_says_so(device: ScriptedDevice) -> None:
    with session_on(device) as session:
        latency = session.latency
    assert not latency.device_is_measured
    assert latency.device_frames == sum(STATED)
    assert str(latency).endswith("; the device as stated by the driver")
    assert latency.as_dict()["device_is_measured"] is False


@pytest.mark.parametrize("device_frames", [480, 96, 10])
def test_a_measured_device_counts_in_the_promise(device: ScriptedDevice, device_frames: int) -> None:
    calibrate(device_frames)
    with session_on(device, latency_s=0.1) as session:
        latency = session.latency
        assert session.stats().measured_frames == latency.total_frames
    assert latency.device_is_measured
    assert latency.device_frames == device_frames
    assert min(latency.parts.values()) >= 0
    # What the device takes more than its driver states, the model has less.
    assert latency.total_frames == RATE // 10
    assert latency.processor.total_frames == RATE // 10 - device_frames - RING_BLOCKS * BLOCK
    assert str(latency).endswith("; the device measured")


def test_a_measurement_of_other_settings_does_not_count(device: ScriptedDevice) -> None:
    calibrate(480)
    with session_on(device, block_frames=512) as session:
        assert not session.latency.device_is_measured


def test_a_change_keeps_a_latency_from_end_to_end_too(device: ScriptedDevice) -> None:
    with session_on(device) as session:
        session.change(processor_on(device), latency_s=0.2)
        assert session.latency.total_frames == RATE // 5
