"""Which channels of a device get the mix, and which a stem of its own."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from engine.errors import ConfigurationError
from engine.spec import find_stem

__all__ = ["MIX", "OutputMap", "known_stem"]

MIX = "mix"
"""Stands for the mix among the names of stems, in whatever case."""
_FORM = "vocals=1,2 drums=3,4 or vocals=1 mix=3,4"


def known_stem(name: str, stems: Sequence[str]) -> str:
    """Give the stem of that name, in whatever case it is written.

    Raises
    ------
    ConfigurationError
        If there is none; the message lists those there are, and the one that was probably meant.
    """
    stem = find_stem(name, stems) if isinstance(name, str) else None
    if stem is None:
        close = difflib.get_close_matches(str(name).lower(), stems, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ConfigurationError(f"stem {name!r} is unknown: the stems are {', '.join(stems)}{hint}")
    return stem


@dataclass(frozen=True)
class OutputMap:
    """Where the mix and the stems come out. Channels are numbered from 1, as on the device.

    A stem that has channels of its own stays in the mix too; where the mix has no channels it is not heard. Stereo
    on one channel is the average of left and right, mono on two channels is the same on both.

    Attributes
    ----------
    device_channels : int
        Output channels of the device; those that nobody was given to stay silent.
    mix : tuple of int
        One channel, or left and right; empty for no mix.
    stems : mapping of str to tuple of int
        The same for each stem that has channels of its own.

    Raises
    ------
    ConfigurationError
        If a channel is not one of the device's, is used twice, or if nothing is heard at all.

    Examples
    --------
    >>> OutputMap.parse("vocals=1,2 drums=3 mix=5,6", stems=("vocals", "drums", "other"), device_channels=6)
    OutputMap(device_channels=6, mix=(5, 6), stems=mappingproxy({'vocals': (1, 2), 'drums': (3,)}))
    """

    device_channels: int
    mix: tuple[int, ...] = ()
    stems: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        stems = {stem: tuple(channels) for stem, channels in self.stems.items()}
        object.__setattr__(self, "stems", MappingProxyType(stems))
        object.__setattr__(self, "mix", tuple(self.mix))
        if self.device_channels < 1:
            raise ConfigurationError(f"device_channels is {self.device_channels}: a device has at least 1")
        if MIX in stems:
            raise ConfigurationError(f"a stem is called {MIX!r}, which means the mix: leave its own channels out")
        if not self.mix and not stems:
            raise ConfigurationError(f"no output was given: name at least one, for instance {_FORM}")
        owners: dict[int, str] = {}
        for owner, channels in ((MIX, self.mix), *stems.items()):
            if len(channels) > 2 or (not channels and owner != MIX):
                raise ConfigurationError(
                    f"{owner} has {len(channels)} output channels: give it one, or two for left and right"
                )
            for channel in channels:
                self._check(owner, channel)
                if channel in owners:
                    raise ConfigurationError(
                        f"output channel {channel} is used twice, by {owners[channel]} and {owner}: "
                        "give each channel once"
                    )
                owners[channel] = owner

    def _check(self, owner: str, channel: int) -> None:
        if not 1 <= channel <= self.device_channels:
            what = "is the only one" if self.device_channels == 1 else f"to {self.device_channels} are there"
            raise ConfigurationError(f"{owner} was given output channel {channel}: on this device 1 {what}")

    @classmethod
    def of_mix(cls, channels: int) -> OutputMap:
        """Give the map of a device that gets the mix alone, on its first channels."""
        return cls(channels, tuple(range(1, min(channels, 2) + 1)))

    @classmethod
    def parse(cls, text: str | Iterable[str], *, stems: Sequence[str], device_channels: int) -> OutputMap:
        """Read the form of the command line.

        Parameters
        ----------
        text : str or iterable of str
            ``NAME=CHANNEL`` or ``NAME=LEFT,RIGHT``, several of them apart by spaces or one each; ``mix`` is the
            name of the mix, which is not heard unless it is given.
        stems : sequence of str
            The names there are.
        device_channels : int

        Raises
        ------
        ConfigurationError
            If a part has another form, names no stem or names one twice; and as the class does.
        """
        found: dict[str, tuple[int, ...]] = {}
        for part in (part for each in ([text] if isinstance(text, str) else text) for part in each.split()):
            name, equals, numbers = part.partition("=")
            if not name or not equals:
                raise ConfigurationError(f"output {part!r} is not NAME=CHANNELS: write for instance {_FORM}")
            owner = MIX if name.lower() == MIX else known_stem(name, stems)
            if owner in found:
                raise ConfigurationError(f"{owner} was given output channels twice: give them once")
            found[owner] = tuple(_number(part, each) for each in numbers.split(","))
        return cls(device_channels, found.pop(MIX, ()), found)


def _number(part: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ConfigurationError(f"output {part!r} has {text!r} for a channel: use numbers from 1, as in {_FORM}")
    # Longer numbers are no channels of anything, and Python refuses to convert the longest.
    return int(text[:9])
