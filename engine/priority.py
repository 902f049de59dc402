"""Real-time priority for the thread that asks: what was wanted, what the system granted, and what to do about it.

Linux: ``SCHED_FIFO``, sched(7); where that is refused, a higher nice level. macOS: the quality-of-service class for
work that a user waits for, pthread/qos.h. Windows: the multimedia class scheduler's task "Pro Audio", avrt.h.
The last two were written by their published interfaces and have not been run on these systems.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["PUMP_LEVEL", "WORKER_LEVEL", "PriorityReport", "is_container", "raise_priority"]

PUMP_LEVEL = 4
"""For the thread that moves audio. Below the threads that this one must never delay: by default JACK calls its clients
back at 5, five below the server, PulseAudio runs at 5, PipeWire at 83 and 88, the kernel's interrupts at 50."""

WORKER_LEVEL = 3
"""For the thread that runs the model: below the pump, which needs the processor for microseconds, and at once."""

_NICE = -11
"""Where real-time priority is refused: what PulseAudio and PipeWire give themselves then."""

_USER_INTERACTIVE = 0x21  # QOS_CLASS_USER_INTERACTIVE of sys/qos.h
_TASK = "Pro Audio"
_HIGH, _NORMAL = 1, 0  # AVRT_PRIORITY_HIGH and AVRT_PRIORITY_NORMAL of avrt.h
_CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))


@dataclass(frozen=True)
class PriorityReport:
    """What became of a thread's wish for real-time priority.

    Attributes
    ----------
    thread : str
        What the thread is for.
    wanted : str
        As the system calls it, ``SCHED_FIFO 4`` for instance.
    granted : bool
    policy : str
        What the thread runs with, read back from the system.
    reason : str
        Why not; empty where it was granted.
    remedy : str
        What to do; empty where there is nothing to do.
    """

    thread: str
    wanted: str
    granted: bool
    policy: str
    reason: str = ""
    remedy: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Everything for a JSON report."""
        return asdict(self)

    def __str__(self) -> str:
        if self.granted:
            return f"{self.thread}: {self.policy}"
        return f"{self.thread}: {self.policy} instead of {self.wanted} ({self.reason}); {self.remedy}"


def raise_priority(name: str, level: int) -> PriorityReport:
    """Ask for real-time priority for the calling thread, and for no other: threads that it starts begin as normal ones.

    Meant for a thread of the program's own, which keeps it until its end. It never raises, and a thread that has more
    already is left as it is.

    Parameters
    ----------
    name : str
        What the thread is for, for the report.
    level : int
        1 to 99 as Linux counts; `PUMP_LEVEL` or `WORKER_LEVEL`. macOS knows one level, Windows two.

    Returns
    -------
    PriorityReport

    Notes
    -----
    A real-time thread that never rests takes its core from everything else until the kernel throttles it, which halts
    it for 50 ms of each second. Let only threads ask that wait without spinning.
    """
    system = platform.system()
    try:
        if system == "Linux":
            return _raise_on_linux(name, level)
        if system == "Darwin":
            return _raise_on_macos(name)
        if system == "Windows":
            return _raise_on_windows(name, level)
    except Exception as error:  # sound goes on at normal priority, whatever a system makes of this
        reason = " ".join(str(error).split()) or type(error).__name__
        return PriorityReport(name, "real-time", False, "unknown", reason, f"report it, with the version of {system}")
    return PriorityReport(
        name, "real-time", False, "normal", f"not known how on {system}", "use Linux, macOS or Windows"
    )


def is_container() -> bool:
    """Whether this process runs in a container that says so: Docker, Podman or systemd."""
    named = os.environ.get("container")  # noqa: SIM112 - systemd and Podman spell it so
    return bool(named) or any(mark.exists() for mark in _CONTAINER_MARKS)


def _raise_on_linux(name: str, level: int) -> PriorityReport:
    wanted = f"SCHED_FIFO {level}"
    policy, priority = _policy()
    if policy in (os.SCHED_FIFO, os.SCHED_RR) and priority >= level:
        return PriorityReport(name, wanted, True, _describe_policy())
    try:
        # Without the flag every pool of threads that a library starts from here would be real-time as well.
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(level))
    except OSError as error:
        _raise_nice()
        reason = error.strerror or str(error)
        return PriorityReport(name, wanted, False, _describe_policy(), reason, _linux_remedy(level))
    reached = _describe_policy()
    if reached != wanted:
        return PriorityReport(
            name, wanted, False, reached, "the system said yes and did otherwise", "run it outside of the sandbox"
        )
    return PriorityReport(name, wanted, True, reached)


def _policy() -> tuple[int, int]:
    return os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK, os.sched_getparam(0).sched_priority


def _describe_policy() -> str:
    policy, priority = _policy()
    if policy in (os.SCHED_FIFO, os.SCHED_RR):
        return f"{'SCHED_FIFO' if policy == os.SCHED_FIFO else 'SCHED_RR'} {priority}"
    names = {os.SCHED_OTHER: "SCHED_OTHER", os.SCHED_BATCH: "SCHED_BATCH", os.SCHED_IDLE: "SCHED_IDLE"}
    return f"{names.get(policy, f'policy {policy}')} nice {_nice()}"


def _nice() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def _raise_nice() -> None:
    """Take a higher share of the processor instead; the report reads back what came of it."""
    if _nice() <= _NICE:
        return
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        policy, _ = _policy()
        os.sched_setscheduler(0, policy | os.SCHED_RESET_ON_FORK, os.sched_getparam(0))


def _linux_remedy(level: int) -> str:
    import resource

    soft, hard = (
        level if limit == resource.RLIM_INFINITY else limit for limit in resource.getrlimit(resource.RLIMIT_RTPRIO)
    )
    if soft >= level:
        return "its control group has no real-time time: give it some in cpu.rt_runtime_us, or start it outside"
    if hard >= level:
        return f"run 'ulimit -r {hard}' in the shell that starts it"
    if is_container():
        return "start the container with --ulimit rtprio=95, or with --cap-add SYS_NICE"
    return (
        "put the line '@audio - rtprio 95' into /etc/security/limits.d/audio.conf, "
        "run 'sudo usermod -aG audio $USER', and log in again"
    )


def _raise_on_macos(name: str) -> PriorityReport:
    library = _load_macos()
    wanted = "QOS_CLASS_USER_INTERACTIVE"
    code = library.pthread_set_qos_class_self_np(_USER_INTERACTIVE, 0)
    reached = library.qos_class_self()
    if reached == _USER_INTERACTIVE:
        return PriorityReport(name, wanted, True, wanted)
    reason = os.strerror(code) if code else "the system said yes and did otherwise"
    remedy = "leave the scheduling of this process alone: no nice, no taskpolicy, no thread policy of another library"
    return PriorityReport(name, wanted, False, f"QoS class 0x{reached:02x}", reason, remedy)


def _load_macos() -> Any:
    library = ctypes.CDLL(None)
    library.pthread_set_qos_class_self_np.argtypes = (ctypes.c_uint, ctypes.c_int)
    library.pthread_set_qos_class_self_np.restype = ctypes.c_int
    library.qos_class_self.argtypes = ()
    library.qos_class_self.restype = ctypes.c_uint
    return library


class _Registration:
    """A thread's place among the tasks of Windows' multimedia scheduler, given back when the thread ends."""

    def __init__(self, library: Any, handle: int) -> None:
        self._library = library
        self.handle = handle

    def __del__(self) -> None:
        self._library.AvRevertMmThreadCharacteristics(self.handle)


_registered = threading.local()


def _raise_on_windows(name: str, level: int) -> PriorityReport:
    library = _load_windows()
    priority = _HIGH if level >= PUMP_LEVEL else _NORMAL
    wanted = f"{_TASK} {'high' if priority == _HIGH else 'normal'}"
    remedy = "start the service Multimedia Class Scheduler (MMCSS) in services.msc, and this program again"
    registration: _Registration | None = getattr(_registered, "registration", None)
    if registration is None:
        handle = library.AvSetMmThreadCharacteristicsW(_TASK, ctypes.byref(ctypes.c_ulong(0)))
        if not handle:
            return PriorityReport(name, wanted, False, "normal", f"Windows error {_windows_error()}", remedy)
        # The place belongs to this thread: what is local to it goes when it ends.
        registration = _registered.registration = _Registration(library, handle)
    if not library.AvSetMmThreadPriority(registration.handle, priority):
        return PriorityReport(name, wanted, False, _TASK, f"Windows error {_windows_error()}", remedy)
    return PriorityReport(name, wanted, True, wanted)


def _load_windows() -> Any:
    windows: Any = ctypes  # its Windows part is known to type checkers only there
    library = windows.WinDLL("avrt", use_last_error=True)
    library.AvSetMmThreadCharacteristicsW.argtypes = (ctypes.c_wchar_p, ctypes.POINTER(ctypes.c_ulong))
    library.AvSetMmThreadCharacteristicsW.restype = ctypes.c_void_p
    library.AvSetMmThreadPriority.argtypes = (ctypes.c_void_p, ctypes.c_int)
    library.AvSetMmThreadPriority.restype = ctypes.c_int
    library.AvRevertMmThreadCharacteristics.argtypes = (ctypes.c_void_p,)
    library.AvRevertMmThreadCharacteristics.restype = ctypes.c_int
    return library


def _windows_error() -> int:
    windows: Any = ctypes
    return int(windows.get_last_error())
