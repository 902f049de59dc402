"""Device latencies that were measured once, kept for later: what a driver states is only a claim."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pydantic

from engine.errors import OutputError
from engine.files.part_file import write_whole
from streamer.audio.stream import DeviceLatency, StreamFormat

__all__ = [
    "Calibration",
    "CalibrationKey",
    "calibration_file",
    "calibrations_folder",
    "forget_calibration",
    "load_calibration",
    "store_calibration",
]

_log = logging.getLogger("stemstream")

_VERSION = 1
_FOLDER_SETTING = "STEMSTREAM_DATA"


@dataclass(frozen=True)
class CalibrationKey:
    """What a device's latency depends on; where any of it differs, a calibration does not hold.

    Attributes
    ----------
    host_api, input, output : str
        Names as PortAudio shows them.
    sample_rate : int
        In Hz.
    block_frames : int
        What is moved at once, and asked of the driver.
    device_latency : str
        What is asked of the driver: low, high, or seconds.
    stated_input_frames, stated_output_frames : int
        What the driver states: other numbers mean other buffers.
    """

    host_api: str
    input: str
    output: str
    sample_rate: int
    block_frames: int
    device_latency: str
    stated_input_frames: int
    stated_output_frames: int

    @classmethod
    def of(cls, asked: StreamFormat, stated: DeviceLatency) -> CalibrationKey:
        """Give the key of a stream: what was asked of it, and what its driver states."""
        return cls(
            asked.input.host_api,
            asked.input.name,
            asked.output.name,
            asked.sample_rate,
            asked.block_frames,
            str(asked.device_latency),
            stated.input_frames,
            stated.output_frames,
        )


@dataclass(frozen=True)
class Calibration:
    """The measured latency of a device.

    Attributes
    ----------
    device_frames : int
        In and out together, at the key's rate: the median.
    spread_frames : int
        From p5 to p95.
    probes : int
        How many it is the median of.
    measured_at : str
        Date and time, ISO 8601, UTC.
    versions : dict of str to str
        Of the project and of what plays and records.
    """

    device_frames: int
    spread_frames: int
    probes: int
    measured_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    versions: dict[str, str] = field(default_factory=dict)


class _Stored(pydantic.BaseModel):
    """A file as it is written."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True)

    version: Literal[1]
    key: CalibrationKey
    calibration: Calibration


def calibrations_folder() -> Path:
    """Give the folder of the calibrations: in the user's data, or in the folder that STEMSTREAM_DATA names."""
    import platformdirs

    named = os.environ.get(_FOLDER_SETTING)
    return (Path(named) if named else platformdirs.user_data_path("stemstream", appauthor=False)) / "calibrations"


def calibration_file(key: CalibrationKey) -> Path:
    """Give the file for a key; it need not be there."""
    code = hashlib.sha256(json.dumps(asdict(key), sort_keys=True).encode()).hexdigest()
    return calibrations_folder() / f"{code[:20]}.json"


def load_calibration(key: CalibrationKey) -> Calibration | None:
    """Give what was measured for this device and these settings, or None.

    A file that is damaged, or that another version wrote, is named in a warning and left aside.
    """
    path = calibration_file(key)
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        _log.warning("calibration %r cannot be read (%s): it is left aside", str(path), error.strerror)
        return None
    try:
        stored = _Stored.model_validate_json(text)
    except pydantic.ValidationError:
        _log.warning("calibration %r is damaged, or of another version: it is left aside; measure again", str(path))
        return None
    return stored.calibration if stored.key == key else None


def store_calibration(key: CalibrationKey, calibration: Calibration) -> Path:
    """Keep what was measured in place of what was known for this key; gives the file.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    path = calibration_file(key)
    values = {"version": _VERSION, "key": asdict(key), "calibration": asdict(calibration)}
    write_whole(path, json.dumps(values, indent=2) + "\n", option=_FOLDER_SETTING)
    return path


def forget_calibration(key: CalibrationKey) -> bool:
    """Remove what is known for this key; tells whether there was anything.

    Raises
    ------
    OutputError
        If the file cannot be removed.
    """
    path = calibration_file(key)
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise OutputError(f"calibration {str(path)!r} cannot be removed ({error.strerror}): remove it") from error
    return True
