"""The project's errors: few, one line each, and always with the remedy."""

from __future__ import annotations

__all__ = [
    "AudioFileError",
    "BlockError",
    "CapacityError",
    "ConfigurationError",
    "DeviceError",
    "DeviceLostError",
    "ExportError",
    "LatencyError",
    "LifecycleError",
    "ModelError",
    "OutOfMemory",
    "OutputError",
    "PlanError",
    "StemstreamError",
    "UnavailableError",
    "forget_frames",
]


class StemstreamError(Exception):
    """Base of every error that this project raises on purpose.

    The message is one line that names the value, what is allowed, and the remedy.
    ``exit_code`` is what a command returns when the error ends it.
    """

    exit_code = 1


class ConfigurationError(StemstreamError, ValueError):
    """A setting is outside what is allowed."""

    exit_code = 2


class PlanError(ConfigurationError):
    """A window plan breaks one of the constraints between its lengths."""


class LatencyError(ConfigurationError):
    """The latency asked for is smaller than the smallest that works.

    Parameters
    ----------
    message : str
    smallest_s : float, optional
        The smallest that works, in seconds, where it is known.
    """

    def __init__(self, message: str, *, smallest_s: float | None = None) -> None:
        super().__init__(message)
        self.smallest_s = smallest_s


class BlockError(StemstreamError, ValueError):
    """A block of audio has the wrong shape, type or length; nothing of it was taken."""


class LifecycleError(StemstreamError, RuntimeError):
    """A call came out of order, for instance ``process`` before ``prepare``."""


class DeviceError(StemstreamError):
    """An audio device, or what is needed to use one, is missing or refuses what was asked of it."""

    exit_code = 3


class DeviceLostError(DeviceError):
    """An audio device that was in use stopped."""


class ModelError(StemstreamError):
    """A model cannot be found, read, trusted or run."""

    exit_code = 4


class OutOfMemory(ModelError):
    """A model cannot be run for want of memory; fewer windows at once may fit."""


class ExportError(ModelError):
    """A model cannot be exported, or not to the place that was named."""


class CapacityError(ModelError):
    """A model is too slow for live sound on this machine."""


class UnavailableError(ModelError, ConfigurationError):
    """A setting asks for what this machine, or what is installed on it, does not have."""


class AudioFileError(StemstreamError):
    """An audio file cannot be read."""


class OutputError(StemstreamError):
    """A result cannot be written."""


def forget_frames(error: BaseException) -> None:
    """Take the tracebacks from an error and from all that led to it: they hold whatever was in use when it came."""
    pending: list[BaseException | None] = [error]
    cleared: list[BaseException] = []
    while pending:
        link = pending.pop()
        if link is not None and not any(link is other for other in cleared):
            cleared.append(link)
            link.__traceback__ = None
            pending += [link.__cause__, link.__context__]
