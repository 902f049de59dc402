"""The controls of one stem: gain, mute and solo."""

from __future__ import annotations

import numpy as np

from engine.errors import ConfigurationError

__all__ = ["MAX_GAIN_DB", "Strip", "switch"]

MAX_GAIN_DB = 12.0
_SILENT_DB = -150.0
"""Below the last bit of 24: what is turned down this far is off."""


class Strip:
    """The controls of one stem. Any thread may read and set them; a change is heard from the next block on."""

    __slots__ = ("_gain_db", "_is_muted", "_is_soloed", "_name", "gain")

    def __init__(self, name: str) -> None:
        self._name = name
        self._gain_db = 0.0
        self._is_muted = False
        self._is_soloed = False
        self.gain = 1.0
        """The gain as a factor, mute and solo left aside."""

    @property
    def gain_db(self) -> float:
        """Gain in dB, from minus infinity to +12; -150 dB and less are silence."""
        return self._gain_db

    @gain_db.setter
    def gain_db(self, value: float) -> None:
        is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not is_number or not value <= MAX_GAIN_DB:
            raise ConfigurationError(
                f"gain_db of {self._name} is {value!r}: numbers from -inf to +{MAX_GAIN_DB:g} are allowed"
            )
        self._gain_db = float(value)
        self.gain = 0.0 if value <= _SILENT_DB else 10.0 ** (self._gain_db / 20.0)

    @property
    def mute(self) -> bool:
        """Silent, whatever else is set."""
        return self._is_muted

    @mute.setter
    def mute(self, value: bool) -> None:
        self._is_muted = switch(f"mute of {self._name}", value)

    @property
    def solo(self) -> bool:
        """While any stem has this set, those that have not are silent."""
        return self._is_soloed

    @solo.setter
    def solo(self, value: bool) -> None:
        self._is_soloed = switch(f"solo of {self._name}", value)


def switch(name: str, value: bool) -> bool:
    """Give a switch's value; ConfigurationError if it is anything but True or False."""
    if not isinstance(value, bool | np.bool_):
        raise ConfigurationError(f"{name} is {value!r}: True and False are allowed")
    return bool(value)
