"""The stems put together again: gain, mute and solo for each, without clicks, and meters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from engine.errors import BlockError, ConfigurationError
from engine.lock_keeping import copy, pieces
from streamer.meters import Meters, MixerLevels
from streamer.output_map import OutputMap, known_stem
from streamer.strip import MAX_GAIN_DB, Strip, switch

__all__ = ["MAX_GAIN_DB", "RAMP_S", "Mixer", "Strip"]

F32 = npt.NDArray[np.float32]

RAMP_S = 0.010
"""Short enough to feel like a switch, long enough that no change of gain is heard as a click."""


class Mixer:
    """Mixes blocks of stems. Controls may be set from any thread at any time.

    A change of gain, mute, solo or bypass begins with the next block and is a straight line over ``ramp_s``, the
    same to the frame whatever the blocks; a change on the way goes on from where the line is. Only the first block
    begins with its gains as they are set. Stems that are silent are passed over, never paused: they stay in step.

    The mix is the sum in the order of the stems, ``((s0 + s1) + s2) + ...`` in float32, of those that are heard; at
    unity it is that sum to the bit. Nothing limits it: what goes beyond full scale is counted and passed on.

    Parameters
    ----------
    stems : sequence of str
    channels : int
        Of each stem: 1 or 2.
    sample_rate : int
        In Hz.
    max_block_frames : int
    outputs : OutputMap, optional
        What comes out where. Left out: the mix, on as many channels as the stems have.
    ramp_s : float
        Duration of a change in seconds, above 0 and up to 1.
    controls : Mixer, optional
        One whose place this one takes: bypass, and stems of the same name, keep their controls, which are then those
        of both.

    Raises
    ------
    ConfigurationError
        If a value is not allowed.

    Notes
    -----
    One thread calls ``mix`` and ``reset``; everything else may be used from any. After construction ``mix`` allocates
    no array and waits for no lock.

    Examples
    --------
    >>> mixer = Mixer(("vocals", "drums", "other"), channels=2, sample_rate=48_000, max_block_frames=512)
    >>> mixer["vocals"].mute = True
    >>> mixer["drums"].gain_db = -6.0
    >>> out = np.zeros((2, 512), np.float32)
    >>> mixer.mix(np.ones((3, 2, 512), np.float32), out)
    >>> round(float(out[0, 0]), 3)
    1.501
    """

    def __init__(
        self,
        stems: Sequence[str],
        *,
        channels: int,
        sample_rate: int,
        max_block_frames: int,
        outputs: OutputMap | None = None,
        ramp_s: float = RAMP_S,
        controls: Mixer | None = None,
    ) -> None:
        _check_settings(stems, channels, sample_rate, max_block_frames, ramp_s)
        self.outputs = OutputMap.of_mix(channels) if outputs is None else outputs
        """What comes out where."""
        kept = {} if controls is None else controls._strips
        self._strips: dict[str, Strip] = {name: kept[name] if name in kept else Strip(name) for name in stems}
        own = {known_stem(name, stems): _rows(numbers) for name, numbers in self.outputs.stems.items()}
        self._own = tuple(own.get(name, ()) for name in stems)
        self._mix_rows = _rows(self.outputs.mix)
        taken = {row for rows in (*self._own, self._mix_rows) for row in rows}
        self._idle_rows = tuple(row for row in range(self.outputs.device_channels) if row not in taken)
        ramp = max(1, round(sample_rate * ramp_s))
        line: F32 = (np.arange(1, ramp + 1) / ramp).astype(np.float32)
        self._gains = tuple(_Gain(line) for _ in stems)
        self._channels = channels
        self._max_block = max_block_frames
        longest = max(piece.stop - piece.start for piece in pieces(1, max_block_frames))
        self._curve = np.zeros(longest, np.float32)
        self._scaled = tuple(np.zeros((channels, longest), np.float32))
        self._mix = tuple(np.zeros((channels, longest), np.float32))
        self._meters = Meters(stems, channels, longest)
        self._bypass: _Bypass = _Bypass() if controls is None else controls._bypass
        self._has_begun = False

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the stems, in the order in which they are given and summed."""
        return tuple(self._strips)

    @property
    def bypass(self) -> bool:
        """All stems at unity, whatever their controls say; these come back when it ends."""
        return self._bypass.is_set

    @bypass.setter
    def bypass(self, value: bool) -> None:
        self._bypass.is_set = switch("bypass", value)

    def __getitem__(self, stem: str) -> Strip:
        """Give the controls of a stem; ConfigurationError if there is none of that name."""
        return self._strips[known_stem(stem, self.stems)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._strips)

    def __len__(self) -> int:
        return len(self._strips)

    def is_heard(self, stem: str) -> bool:
        """Tell whether a stem is in anything that comes out, or is still fading; ConfigurationError if unknown."""
        place = self.stems.index(known_stem(stem, self.stems))
        fading = self._gains[place].now if self._has_begun else 0.0
        return self._is_connected(place) and (self._wanted()[place] > 0.0 or fading > 0.0)

    def is_turned_off(self, stem: str) -> bool:
        """Tell whether a stem is to be in nothing that comes out, though it may still fade; as ``is_heard`` else."""
        place = self.stems.index(known_stem(stem, self.stems))
        return not self._is_connected(place) or self._wanted()[place] == 0.0

    def _is_connected(self, place: int) -> bool:
        return bool(self._mix_rows or self._own[place])

    def levels(self, *, restart: bool = True) -> MixerLevels:
        """Read the meters.

        Parameters
        ----------
        restart : bool
            True: the next reading covers what comes after this one. False: this one changes nothing, for those who
            look on beside the reader the meters belong to.
        """
        return self._meters.read(restart=restart)

    def settle(self) -> None:
        """Let the next block have its gains at once: nothing is heard at the moment that could click."""
        self._has_begun = False

    def reset(self) -> None:
        """Begin anew, as for another stream: the next block has its gains at once, and the meters are at zero."""
        self.settle()
        self._meters.clear()

    def mix(self, stems: F32, out: F32) -> None:
        """Mix a block.

        Parameters
        ----------
        stems : ndarray of float32, shape (stems, channels, frames)
            At most ``max_block_frames``; finite.
        out : ndarray of float32, shape (device channels, frames)
            Where to write; it shares no memory with ``stems``. Device channels are those of ``outputs``.

        Raises
        ------
        BlockError
            If one does not fit; nothing was done.
        """
        self._check(stems, out)
        for gain, wanted in zip(self._gains, self._wanted(), strict=True):
            gain.aim(wanted, at_once=not self._has_begun)
        self._has_begun = True
        frames = out.shape[1]
        if not frames:
            return
        for piece in pieces(1, frames):
            self._mix_piece(stems[..., piece], out[:, piece])
        self._meters.publish(frames)

    def _wanted(self) -> list[float]:
        """Give the gain of each stem as the controls are now."""
        strips = self._strips.values()
        if self._bypass.is_set:
            return [1.0] * len(strips)
        has_solo = any([strip.solo for strip in strips])
        return [0.0 if strip.mute or (has_solo and not strip.solo) else strip.gain for strip in strips]

    def _mix_piece(self, stems: F32, out: F32) -> None:
        frames = out.shape[1]
        rows, scaled = tuple(out), tuple(row[:frames] for row in self._scaled)
        mix, curve = tuple(row[:frames] for row in self._mix), self._curve[:frames]
        is_empty = True
        for place, (gain, stem) in enumerate(zip(self._gains, stems, strict=True)):
            sound = tuple(stem)
            self._meters.hear(place, sound)
            heard = gain.apply(sound, scaled, curve)
            _place(heard, tuple(rows[n] for n in self._own[place]))
            if heard is not None and self._mix_rows:
                for total, row in zip(mix, heard, strict=True):
                    if is_empty:
                        copy(total, row)
                    else:
                        np.add(total, row, out=total)
                is_empty = False
        _place(None if is_empty else mix, tuple(rows[n] for n in self._mix_rows))
        for n in self._idle_rows:
            rows[n].fill(0.0)
        self._meters.hear_output(rows)

    def _check(self, stems: F32, out: F32) -> None:
        frames = out.shape[-1] if out.ndim else -1
        for name, array, lead in (
            ("stems", stems, (len(self._gains), self._channels)),
            ("out", out, (self.outputs.device_channels,)),
        ):
            if array.shape != (*lead, frames) or array.dtype != np.float32:
                raise BlockError(
                    f"{name} is {array.dtype} of shape {array.shape}: it must be float32 of shape "
                    f"({', '.join(map(str, lead))}, frames), and stems and out of as many frames"
                )
        if frames > self._max_block:
            raise BlockError(f"a block of {frames} frames was given: at most {self._max_block} were prepared")


class _Bypass:
    """A switch that several mixers can share."""

    is_set = False


class _Gain:
    """A gain and its way to the next one, frame by frame; the way does not depend on the blocks."""

    def __init__(self, line: F32) -> None:
        self._line = line
        self._start = self._target = 1.0
        self._passed = len(line)

    @property
    def now(self) -> float:
        """The gain of the frame that was played last."""
        passed = self._passed
        if passed >= len(self._line):
            return self._target
        share = float(self._line[passed - 1]) if passed else 0.0
        return self._start + (self._target - self._start) * share

    def aim(self, target: float, *, at_once: bool) -> None:
        """Begin the way to another gain, or be there."""
        if at_once:
            self._start = self._target = target
            self._passed = len(self._line)
        elif target != self._target:
            # In this order, a thread that reads ``now`` in between never takes the start of a fade for silence.
            self._start = self.now
            self._passed = 0
            self._target = target

    def apply(self, sound: tuple[F32, ...], scaled: tuple[F32, ...], curve: F32) -> tuple[F32, ...] | None:
        """Give the channels of ``sound`` times the gain: themselves at unity, None for silence, else ``scaled``."""
        begin, frames = self._passed, len(curve)
        ramped = min(frames, len(self._line) - begin)
        if not ramped and self._target in (0.0, 1.0):
            return sound if self._target else None
        if ramped:
            np.multiply(self._line[begin : begin + ramped], self._target - self._start, out=curve[:ramped])
            np.add(curve[:ramped], self._start, out=curve[:ramped])
            self._passed += ramped
        curve[ramped:] = self._target
        for row, out in zip(sound, scaled, strict=True):
            np.multiply(row, curve, out=out)
        return scaled


def _place(sound: tuple[F32, ...] | None, rows: tuple[F32, ...]) -> None:
    """Write the channels of a sound, or silence, to channels of the device."""
    if sound is None:
        for row in rows:
            row.fill(0.0)
    elif len(sound) == 2 and len(rows) == 1:
        np.add(sound[0], sound[1], out=rows[0])
        np.multiply(rows[0], 0.5, out=rows[0])
    else:
        for place, row in enumerate(rows):
            copy(row, sound[min(place, len(sound) - 1)])


def _rows(numbers: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(number - 1 for number in numbers)


def _check_settings(
    stems: Sequence[str], channels: int, sample_rate: int, max_block_frames: int, ramp_s: float
) -> None:
    if isinstance(stems, str) or not stems or len({stem.lower() for stem in stems}) != len(stems):
        raise ConfigurationError(f"stems are {stems!r}: give a sequence of one name or more, each once")
    if channels not in (1, 2):
        raise ConfigurationError(f"channels is {channels}: allowed are 1 and 2")
    if sample_rate < 1:
        raise ConfigurationError(f"sample_rate is {sample_rate}: give it in Hz, above 0")
    if max_block_frames < 1:
        raise ConfigurationError(f"max_block_frames is {max_block_frames}: at least 1 is needed")
    if not 0.0 < ramp_s <= 1.0:
        raise ConfigurationError(f"ramp_s is {ramp_s!r}: seconds above 0 and up to 1 are allowed")
