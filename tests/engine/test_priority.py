"""Real-time priority: asked for by a thread for itself, told as it came out, with a remedy where it was refused."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from engine import priority
from engine.priority import PUMP_LEVEL, WORKER_LEVEL, PriorityReport, raise_priority

_Answer = TypeVar("_Answer")
JACK_CLIENT_LEVEL = PULSEAUDIO_LEVEL = 5


def in_a_thread(action: Callable[[], _Answer]) -> _Answer:
    """Do something on a thread that ends with it."""
    answers: list[_Answer] = []
    thread = threading.Thread(target=lambda: answers.append(action()))
    thread.start()
    thread.join()
    (answer,) = answers
    return answer


def scheduling() -> tuple[int, int, int]:
    """Policy, real-time priority and nice level of the calling thread, asked of the system itself."""
    nice = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    return os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK, os.sched_getparam(0).sched_priority, nice


class Linux:
    """The scheduler of Linux, for one thread: grants what it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.policy, self.priority, self.nice = os.SCHED_OTHER, 0, 0
        self.resets_on_fork = False
        self.refused: set[str] = set()
        self.deaf = False
        for name in ("sched_getscheduler", "sched_getparam", "sched_setscheduler", "getpriority", "setpriority"):
            monkeypatch.setattr(os, name, getattr(self, name))
        monkeypatch.setattr(resource, "getrlimit", lambda kind: self.limits)
        self.limits = (0, 0)
        monkeypatch.setattr(priority, "_CONTAINER_MARKS", ())
        monkeypatch.delenv("container", raising=False)
        monkeypatch.setattr(platform, "system", lambda: "Linux")

    def sched_getscheduler(self, thread: int) -> int:
        return self.policy | (os.SCHED_RESET_ON_FORK if self.resets_on_fork else 0)

    def sched_getparam(self, thread: int) -> os.sched_param:
        return os.sched_param(self.priority)

    def sched_setscheduler(self, thread: int, policy: int, param: os.sched_param) -> None:
        assert thread == 0, "another thread than the calling one"
        plain = policy & ~os.SCHED_RESET_ON_FORK
        if plain == os.SCHED_FIFO and "fifo" in self.refused:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        if not self.deaf:
            self.policy, self.priority = plain, param.sched_priority
            self.resets_on_fork = bool(policy & os.SCHED_RESET_ON_FORK)

    def getpriority(self, which: int, who: int) -> int:
        assert (which, who) == (os.PRIO_PROCESS, threading.get_native_id())
        return self.nice

    def setpriority(self, which: int, who: int, level: int) -> None:
        assert (which, who) == (os.PRIO_PROCESS, threading.get_native_id())
        if "nice" in self.refused:
            raise PermissionError(errno.EACCES, "Permission denied")
        self.nice = level


@pytest.fixture
def linux(monkeypatch: pytest.MonkeyPatch) -> Linux:
    return Linux(monkeypatch)


def test_the_report_of_this_system_says_what_the_thread_really_runs_with() -> None:
    def ask() -> tuple[PriorityReport, tuple[int, int, int]]:
        return raise_priority("pump", PUMP_LEVEL), scheduling()

    report, (policy, level, nice) = in_a_thread(ask)
    assert report.granted == ((policy, level) == (os.SCHED_FIFO, PUMP_LEVEL))
    assert report.policy == (f"SCHED_FIFO {level}" if policy == os.SCHED_FIFO else f"SCHED_OTHER nice {nice}")
    assert bool(report.remedy) != report.granted


def test_threads_that_a_raised_thread_starts_are_normal_ones() -> None:
    def ask() -> tuple[int, int, int]:
        raise_priority("worker", WORKER_LEVEL)
        return in_a_thread(scheduling)

    assert in_a_thread(ask) == scheduling()


def test_only_the_calling_thread_is_raised() -> None:
    before = scheduling()
    in_a_thread(lambda: raise_priority("pump", PUMP_LEVEL))
    assert scheduling() == before


def test_the_pump_goes_before_the_worker_and_both_after_the_audio_servers() -> None:
    assert 1 <= WORKER_LEVEL < PUMP_LEVEL < min(JACK_CLIENT_LEVEL, PULSEAUDIO_LEVEL)


def test_where_it_is_allowed_the_thread_is_real_time_and_its_children_are_not(linux: Linux) -> None:
    report = raise_priority("pump", 4)
    assert report == PriorityReport("pump", "SCHED_FIFO 4", True, "SCHED_FIFO 4")
    assert (linux.policy, linux.priority, linux.resets_on_fork) == (os.SCHED_FIFO, 4, True)
    assert str(report) == "pump: SCHED_FIFO 4"


def test_where_it_is_refused_a_nice_level_takes_its_place_and_is_told_as_what_it_is(linux: Linux) -> None:
    linux.refused = {"fifo"}
    report = raise_priority("pump", 4)
    assert (report.granted, report.wanted, report.policy) == (False, "SCHED_FIFO 4", "SCHED_OTHER nice -11")
    assert report.reason == "Operation not permitted"
    assert linux.resets_on_fork
    assert str(report).startswith("pump: SCHED_OTHER nice -11 instead of SCHED_FIFO 4 (Operation not permitted); put ")


def test_where_all_is_refused_the_thread_stays_as_it_was(linux: Linux) -> None:
    linux.refused = {"fifo", "nice"}
    assert raise_priority("pump", 4).policy == "SCHED_OTHER nice 0"
    assert not linux.resets_on_fork


def test_a_thread_that_has_more_already_keeps_it(linux: Linux) -> None:
    linux.policy, linux.priority = os.SCHED_RR, 50
    report = raise_priority("pump", 4)
    assert (report.granted, report.policy) == (True, "SCHED_RR 50")
    linux.policy, linux.priority, linux.nice, linux.refused = os.SCHED_OTHER, 0, -20, {"fifo"}
    assert raise_priority("pump", 4).policy == "SCHED_OTHER nice -20"


def test_a_system_that_says_yes_and_does_nothing_is_found_out(linux: Linux) -> None:
    linux.deaf = True
    report = raise_priority("pump", 4)
    assert (report.granted, report.policy) == (False, "SCHED_OTHER nice 0")
    assert "sandbox" in report.remedy


@pytest.mark.parametrize(
    ("limits", "in_container", "remedy"),
    [
        ((0, 0), False, "'@audio - rtprio 95' into /etc/security/limits.d/audio.conf"),
        ((0, 0), False, "sudo usermod -aG audio $USER"),
        ((0, 0), True, "--ulimit rtprio=95, or with --cap-add SYS_NICE"),
        ((3, 95), False, "ulimit -r 95"),
        ((0, resource.RLIM_INFINITY), True, "ulimit -r 4"),
        ((95, 95), False, "cpu.rt_runtime_us"),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), True, "cpu.rt_runtime_us"),
    ],
)
def test_the_remedy_fits_what_stands_in_the_way(
    linux: Linux,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limits: tuple[int, int],
    in_container: bool,
    remedy: str,
) -> None:
    linux.refused, linux.limits = {"fifo"}, limits
    if in_container:
        monkeypatch.setattr(priority, "_CONTAINER_MARKS", (tmp_path,))
    assert remedy in raise_priority("pump", 4).remedy


def test_a_container_that_names_itself_in_the_environment_is_known(
    linux: Linux, monkeypatch: pytest.MonkeyPatch
) -> None:
    linux.refused = {"fifo"}
    monkeypatch.setenv("container", "podman")
    assert "--ulimit rtprio=95" in raise_priority("pump", 4).remedy


def test_nothing_is_raised_whatever_the_system_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(thread: int) -> int:
        raise OSError("no such\ncall")

    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(os, "sched_getscheduler", fail)
    report = raise_priority("pump", 4)
    assert (report.granted, report.reason) == (False, "no such call")
    assert report.remedy


def test_a_system_that_is_not_known_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Plan9")
    report = raise_priority("pump", 4)
    assert (report.granted, report.reason, report.remedy) == (
        False,
        "not known how on Plan9",
        "use Linux, macOS or Windows",
    )


class Foreign:
    """A function of a library of another system: takes what its declaration says, and nothing before it has one."""

    def __init__(self, name: str, act: Callable[..., int | None]) -> None:
        self.name, self.act = name, act
        self.argtypes: tuple[Any, ...] | None = None
        self.restype: Any = None

    def __call__(self, *arguments: Any) -> int | None:
        assert self.argtypes is not None, f"{self.name} was called undeclared"
        assert self.restype is not None, f"{self.name} has no declared result"
        assert len(arguments) == len(self.argtypes)
        for kind, argument in zip(self.argtypes, arguments, strict=True):
            kind.from_param(argument)
        return self.act(*arguments)


class Library:
    """A library with the functions it is made of."""

    def __init__(self, **functions: Callable[..., int | None]) -> None:
        for name, act in functions.items():
            setattr(self, name, Foreign(name, act))


class Mac:
    """The quality of service of one thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.qos, self.code = 0x15, 0
        library = Library(pthread_set_qos_class_self_np=self.set, qos_class_self=lambda: self.qos)
        monkeypatch.setattr(platform, "system", lambda: "Darwin")
        monkeypatch.setattr(ctypes, "CDLL", lambda name: library)

    def set(self, qos: int, relative: int) -> int:
        assert relative == 0
        if not self.code:
            self.qos = qos
        return self.code


def test_macos_is_asked_for_its_interactive_class(monkeypatch: pytest.MonkeyPatch) -> None:
    mac = Mac(monkeypatch)
    report = raise_priority("worker", 3)
    assert (report.granted, report.policy, mac.qos) == (True, "QOS_CLASS_USER_INTERACTIVE", 0x21)


def test_a_refusal_of_macos_is_told_with_the_class_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    Mac(monkeypatch).code = errno.EPERM
    report = raise_priority("worker", 3)
    assert (report.granted, report.policy, report.reason) == (False, "QoS class 0x15", os.strerror(errno.EPERM))
    assert "no taskpolicy" in report.remedy


class Windows:
    """The multimedia class scheduler."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.handle, self.sets_priority = 77, 1
        self.tasks: list[str] = []
        self.priorities: list[int] = []
        self.reverted: list[tuple[int, int]] = []
        library = Library(
            AvSetMmThreadCharacteristicsW=self.register,
            AvSetMmThreadPriority=self.set,
            AvRevertMmThreadCharacteristics=self.revert,
        )
        monkeypatch.setattr(platform, "system", lambda: "Windows")
        monkeypatch.setattr(ctypes, "WinDLL", lambda name, use_last_error: library, raising=False)
        monkeypatch.setattr(ctypes, "get_last_error", lambda: 1552, raising=False)

    def register(self, task: str, index: Any) -> int | None:
        assert index._obj.value == 0, "the first call takes 0"
        self.tasks.append(task)
        return self.handle or None

    def set(self, handle: int, level: int) -> int:
        assert handle == self.handle
        self.priorities.append(level)
        return self.sets_priority

    def revert(self, handle: int) -> int:
        self.reverted.append((handle, threading.get_ident()))
        return 1


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> Windows:
    return Windows(monkeypatch)


def test_windows_is_told_of_a_pro_audio_task_that_ends_with_its_thread(windows: Windows) -> None:
    def ask() -> tuple[PriorityReport, int]:
        assert not windows.reverted
        return raise_priority("pump", PUMP_LEVEL), threading.get_ident()

    report, thread = in_a_thread(ask)
    assert (report.granted, report.policy) == (True, "Pro Audio high")
    assert (windows.tasks, windows.priorities) == (["Pro Audio"], [1])
    assert windows.reverted == [(77, thread)]


def test_a_worker_on_windows_comes_after_the_pump_and_registers_once(windows: Windows) -> None:
    in_a_thread(lambda: [raise_priority("worker", WORKER_LEVEL) for _ in range(2)])
    assert (windows.tasks, windows.priorities, len(windows.reverted)) == (["Pro Audio"], [0, 0], 1)


@pytest.mark.parametrize(("handle", "sets_priority"), [(0, 1), (77, 0)])
def test_a_refusal_of_windows_is_told_with_its_number(windows: Windows, handle: int, sets_priority: int) -> None:
    windows.handle, windows.sets_priority = handle, sets_priority
    report = in_a_thread(lambda: raise_priority("pump", PUMP_LEVEL))
    assert (report.granted, report.reason) == (False, "Windows error 1552")
    assert "Multimedia Class Scheduler" in report.remedy
    assert len(windows.reverted) == bool(handle)
