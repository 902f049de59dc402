"""The worker's thread: who runs first, who runs together, and that it ends when nobody needs it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import ConfigurationError, LifecycleError
from engine.separator import F32, Runner, Separator
from engine.worker import Worker
from engine.worker_client import WAITING
from streamer.processor import StemProcessor
from streamer.testing import IdentitySeparator
from tests.engine.told_models import Echo, Recording, WholeWindow

LIMIT_S = 30.0
AUDIO = np.random.default_rng(3).normal(size=(2, 4000)).astype(np.float32)


class Client:
    """A stream whose windows fall due when a test says so; window n is filled with n times its own number."""

    def __init__(self, model: Separator, number: int = 1, log: list[Any] | None = None) -> None:
        self.separator = model
        self.window_frames = model.spec.window_frames
        self.number = number
        self.log: list[Any] = [] if log is None else log
        self.due: deque[float] = deque()
        self.loaded = 0
        self.results: list[F32] = []
        self.errors: list[Exception] = []
        self.looks = 0
        self.on_store: Callable[[], None] = lambda: None

    def slack_s(self) -> float | None:
        self.looks += 1
        return self.due[0] if self.due else None

    def load(self, runner: Runner, row: int) -> bool:
        if not self.due:
            return False
        self.due.popleft()
        self.loaded += 1
        runner.windows[row] = self.number * self.loaded
        for state, initial in zip(runner.states, self.separator.spec.initial_states(1), strict=True):
            state[row] = initial[0]
        return True

    def store(self, runner: Runner, row: int, elapsed_s: float) -> None:
        self.on_store()
        self.log.append(self.number)
        self.results.append(runner.stems[row].copy())

    def fail(self, error: Exception, elapsed_s: float) -> None:
        self.log.append(-self.number)
        self.errors.append(error)

    @property
    def outcomes(self) -> int:
        return len(self.results) + len(self.errors)


def noise_of(channels: int, frames: int) -> F32:
    return np.random.default_rng(5).uniform(-1, 1, (channels, frames)).astype(np.float32)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "stemstream-worker"]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    assert threads() == []
    yield
    assert threads() == []


@pytest.fixture
def attach() -> Iterator[Callable[..., None]]:
    """Attach clients, and detach them at the end."""
    attached: list[tuple[Worker, Client]] = []

    def attach_all(worker: Worker, *clients: Client) -> None:
        for client in clients:
            worker.attach(client)
            attached.append((worker, client))

    yield attach_all
    for worker, client in attached:
        worker.detach(client)


def await_outcomes(worker: Worker, clients: list[Client], count: int) -> None:
    assert worker.wait(lambda: sum(client.outcomes for client in clients) >= count, LIMIT_S)


def hold(worker: Worker, model: Recording, client: Client) -> None:
    """Have the worker run a window of ``client`` that does not end before the gate of ``model`` opens."""
    model.close_gate()
    client.due.append(0.0)
    worker.wake()
    assert model.is_in.wait(LIMIT_S)


# Batches


def test_streams_that_share_a_model_share_a_batch(attach: Callable[..., None]) -> None:
    model, worker = Recording(WholeWindow()), Worker(batch_size=4)
    clients = [Client(model, number) for number in (1, 10, 100, 1000)]
    attach(worker, *clients)
    hold(worker, model, clients[0])
    for client in clients[1:]:
        client.due.append(1.0)
        worker.wake()
    model.open_gate()
    await_outcomes(worker, clients, 4)
    assert model.batch_sizes == [1, 3]
    np.testing.assert_array_equal(model.batches[1][:, 0, 0], [10, 100, 1000])
    for client in clients:
        expected, _ = model.model.process(np.full((1, 2, 64), client.number, np.float32), ())
        np.testing.assert_array_equal(client.results[0], expected[0])


def test_a_batch_holds_no_more_than_its_size_and_the_rest_follows(attach: Callable[..., None]) -> None:
    model, worker = Recording(WholeWindow()), Worker(batch_size=2)
    clients = [Client(model, number) for number in range(1, 7)]
    attach(worker, *clients)
    hold(worker, model, clients[0])
    for client in clients[1:]:
        client.due.append(1.0)
    model.open_gate()
    await_outcomes(worker, clients, 6)
    assert model.batch_sizes == [1, 2, 2, 1]


def test_other_models_and_other_window_lengths_run_on_their_own(attach: Callable[..., None]) -> None:
    model, other = (Recording(IdentitySeparator(window_frames=64, hop_frames=16)) for _ in range(2))
    worker = Worker(batch_size=4)
    clients = [Client(model, 1), Client(model, 2), Client(other, 3), Client(model, 4)]
    clients[3].window_frames = 32
    attach(worker, *clients)
    other.close_gate()
    hold(worker, model, clients[0])
    for client in clients[1:]:
        client.due.append(1.0)
    model.open_gate()
    other.open_gate()
    await_outcomes(worker, clients, 4)
    assert [(len(batch), batch.shape[-1]) for batch in model.batches] == [(1, 64), (1, 64), (1, 32)]
    assert other.batch_sizes == [1]


def test_a_live_stream_has_one_window_in_a_batch_and_a_waiting_one_fills_it(attach: Callable[..., None]) -> None:
    model, worker = Recording(WholeWindow()), Worker(batch_size=4)
    first, live, waiting = (Client(model, number) for number in (1, 2, 3))
    attach(worker, first, live, waiting)
    hold(worker, model, first)
    live.due.extend([1.0, 1.0])
    waiting.due.extend([WAITING] * 5)
    model.open_gate()
    await_outcomes(worker, [first, live, waiting], 8)
    # Each stream gets a row before anyone gets a second one, and results come in the order of their windows.
    rows = [[int(value) for value in batch[:, 0, 0]] for batch in model.batches]
    assert rows == [[1], [2, 3, 6, 9], [4, 12, 15]]


def test_nothing_is_delayed_to_fill_a_batch(attach: Callable[..., None]) -> None:
    model, worker = Recording(WholeWindow()), Worker(batch_size=8)
    client = Client(model)
    attach(worker, client)
    model.batches.clear()
    client.due.append(5.0)
    worker.wake()
    await_outcomes(worker, [client], 1)
    assert model.batch_sizes == [1]


# Order


def test_the_earliest_deadline_runs_first_and_who_waits_runs_last(attach: Callable[..., None]) -> None:
    model, other, worker, log = Recording(WholeWindow()), WholeWindow(), Worker(), []
    first = Client(model, 1, log)
    slacks = {2: 0.5, 3: WAITING, 4: 0.1, 5: -2.0, 6: 0.3, 7: WAITING}
    clients = [Client(other if number == 6 else model, number, log) for number in slacks]
    attach(worker, first, *clients)
    hold(worker, model, first)
    for client in clients:
        client.due.append(slacks[client.number])
    model.open_gate()
    await_outcomes(worker, [first, *clients], 7)
    assert log == [1, 5, 4, 6, 2, 3, 7]


def test_a_live_window_goes_before_those_that_are_waited_for_however_many_there_are(
    attach: Callable[..., None],
) -> None:
    model, worker, log = Recording(WholeWindow()), Worker(batch_size=2), []
    waiting, live = Client(model, 1, log), Client(WholeWindow(), 2, log)
    attach(worker, waiting, live)
    waiting.due.extend([WAITING] * 6)
    hold(worker, model, waiting)
    live.due.append(3.0)
    model.open_gate()
    await_outcomes(worker, [waiting, live], 8)
    assert log.index(2) <= 2


# Two streams on one worker


class Meeting(Worker):
    """A worker that tells when each of two threads has a window due and waits for it."""

    def __init__(self, batch_size: int) -> None:
        super().__init__(batch_size)
        self.all_wait = threading.Event()
        self._waiting: set[int] = set()

    def wait(self, until: Callable[[], bool], timeout_s: float | None = None) -> bool:
        self._waiting.add(threading.get_ident())
        if len(self._waiting) == 2:
            self.all_wait.set()
        return super().wait(until, timeout_s)


def stream_all(processor: StemProcessor, audio: F32) -> F32:
    parts = [processor.process(audio[:, n : n + 80]).copy() for n in range(0, audio.shape[1], 80)]
    return np.concatenate([*parts, processor.flush()], axis=-1)


def prepared(model: Separator, worker: Worker) -> StemProcessor:
    processor = StemProcessor(model, worker=worker, mixture_consistent=False)
    return processor.prepare(sample_rate=8000, channels=2, max_block_frames=80)


@pytest.mark.parametrize("make", [WholeWindow, Echo])
@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_streams_on_one_worker_get_what_each_gets_alone(make: Callable[[], Separator], batch_size: int) -> None:
    recordings = [AUDIO, np.roll(AUDIO, 1111, axis=1) * 3]
    alone = []
    for audio in recordings:
        with prepared(make(), Worker(batch_size)) as processor:
            alone.append(stream_all(processor, audio))
    model, worker = Recording(make()), Meeting(batch_size)
    together: dict[int, F32] = {}
    with prepared(model, worker) as one, prepared(model, worker) as two:
        model.close_gate()
        players = [
            threading.Thread(target=lambda n=n, p=p, a=a: together.update({n: stream_all(p, a)}))
            for n, (p, a) in enumerate(zip((one, two), recordings, strict=True))
        ]
        for player in players:
            player.start()
        assert worker.all_wait.wait(LIMIT_S)
        model.open_gate()
        for player in players:
            player.join(LIMIT_S)
    # A stateful stream has one hop at a time under way; a windowed one that is waited for fills the batch.
    assert max(model.batch_sizes) == (batch_size if make is WholeWindow else min(2, batch_size))
    for n in range(2):
        np.testing.assert_allclose(together[n], alone[n], rtol=0, atol=1e-6)


def test_a_stream_that_joins_a_running_model_starts_from_a_fresh_state() -> None:
    model, worker = Echo(), Worker(batch_size=2)
    with prepared(Echo(), Worker()) as processor:
        alone = stream_all(processor, AUDIO)
    with prepared(model, worker) as one:
        for _ in range(20):
            one.process(np.full((2, 80), 100, np.float32))
        with prepared(model, worker) as two:
            np.testing.assert_allclose(stream_all(two, AUDIO), alone, rtol=0, atol=1e-6)


# Life and death of the thread


def test_the_thread_lives_from_the_first_attach_to_the_last_detach() -> None:
    model, worker = WholeWindow(), Worker()
    one, two = Client(model), Client(model)
    assert not worker.is_running
    assert threads() == []
    for _ in range(2):
        worker.attach(one)
        worker.attach(two)
        assert (worker.is_running, worker.stream_count, len(threads())) == (True, 2, 1)
        worker.detach(one)
        assert (worker.is_running, worker.stream_count, len(threads())) == (True, 1, 1)
        worker.detach(two)
        assert (worker.is_running, worker.stream_count, len(threads())) == (False, 0, 0)


def test_a_stream_that_is_not_attached_cannot_be_detached() -> None:
    worker, client = Worker(), Client(WholeWindow())
    with pytest.raises(LifecycleError, match="not attached"):
        worker.detach(client)
    worker.attach(client)
    worker.detach(client)
    with pytest.raises(LifecycleError, match="detach it once"):
        worker.detach(client)


def test_a_detach_waits_for_the_window_under_way(attach: Callable[..., None]) -> None:
    model, worker, log = Recording(WholeWindow()), Worker(), []
    staying, leaving = Client(WholeWindow(), 1, log), Client(model, 2, log)
    attach(worker, staying)
    worker.attach(leaving)
    hold(worker, model, leaving)

    def leave() -> None:
        worker.detach(leaving)
        log.append("detached")

    thread = threading.Thread(target=leave)
    thread.start()
    model.open_gate()
    thread.join(LIMIT_S)
    assert log == [2, "detached"]
    leaving.due.append(0.0)
    staying.due.append(0.0)
    worker.wake()
    await_outcomes(worker, [staying], 1)
    assert log == [2, "detached", 1]


def test_a_model_is_warmed_up_at_the_exact_shapes_before_it_is_used() -> None:
    model, worker = Recording(WholeWindow()), Worker(batch_size=3)
    one, two = Client(model), Client(model)
    timings = worker.attach(one)
    assert model.batch_sizes[: 3 + len(timings)] == [3] * 3 + [1] * len(timings)
    # Then it is measured what more windows a run cost.
    assert model.batch_sizes[3 + len(timings) :] == [1, 2, 3] * 3
    assert 1 <= len(timings) <= 10
    assert all(seconds > 0 for seconds in timings)
    runs = len(model.batches)
    assert worker.attach(two) == timings
    assert len(model.batches) == runs
    worker.detach(one)
    worker.detach(two)


def test_a_warm_up_may_be_left_out_until_somebody_needs_it() -> None:
    model, worker = Recording(WholeWindow()), Worker(batch_size=3)
    one, two, three = Client(model), Client(model), Client(model)
    assert worker.attach(one, warm_up=False) == ()
    assert model.batches == []
    timings = worker.attach(two)
    assert model.batch_sizes[: 3 + len(timings)] == [3] * 3 + [1] * len(timings)
    assert timings
    runs = len(model.batches)
    assert worker.attach(three, warm_up=False) == ()
    assert len(model.batches) == runs
    for client in (one, two, three):
        worker.detach(client)


def test_a_model_that_fails_in_its_warm_up_is_refused_and_no_thread_is_left() -> None:
    model, worker = Recording(WholeWindow()), Worker()
    model.error = RuntimeError("no such kernel")
    with pytest.raises(RuntimeError, match="no such kernel"):
        worker.attach(Client(model))
    assert not worker.is_running
    assert worker.stream_count == 0
    model.error = None
    client = Client(model)
    worker.attach(client)
    worker.detach(client)


def test_a_model_that_fails_in_its_warm_up_does_not_disturb_the_others(attach: Callable[..., None]) -> None:
    worker, client, bad = Worker(), Client(WholeWindow()), Recording(WholeWindow())
    attach(worker, client)
    bad.error = RuntimeError("no such kernel")
    with pytest.raises(RuntimeError, match="no such kernel"):
        worker.attach(Client(bad))
    assert (worker.is_running, worker.stream_count) == (True, 1)
    client.due.append(0.0)
    worker.wake()
    await_outcomes(worker, [client], 1)


def test_a_batch_size_below_one_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="batch size 0 cannot be used"):
        Worker(0)


def test_a_wait_ends_at_its_time_limit(attach: Callable[..., None]) -> None:
    worker = Worker()
    attach(worker, Client(WholeWindow()))
    assert not worker.wait(lambda: False, 0.0)
    assert worker.wait(lambda: True, 0.0)


# Faults


def test_an_error_in_a_batch_is_told_to_every_stream_in_it_and_the_thread_goes_on(
    attach: Callable[..., None],
) -> None:
    model, worker = Recording(WholeWindow()), Worker(batch_size=4)
    clients = [Client(model, number) for number in (1, 2, 3)]
    attach(worker, *clients)
    hold(worker, model, clients[0])
    for client in clients:
        client.due.append(1.0)
    model.error = RuntimeError("out of memory")
    model.open_gate()
    await_outcomes(worker, clients, 4)
    model.error = None
    for client in clients:
        assert [str(error) for error in client.errors][-1:] == ["out of memory"]
        client.due.append(1.0)
    worker.wake()
    await_outcomes(worker, clients, 7)
    assert [len(client.results) for client in clients] == [1, 1, 1]


def test_an_outcome_that_one_stream_refuses_is_a_fault_of_that_stream_alone(attach: Callable[..., None]) -> None:
    model, worker, log = Recording(WholeWindow()), Worker(batch_size=4), []
    clients = [Client(model, number, log) for number in (1, 2, 3)]
    attach(worker, *clients)

    def refuse() -> None:
        raise FloatingPointError("not finite")

    hold(worker, model, clients[0])
    clients[1].on_store = refuse
    clients[1].due.append(1.0)
    clients[2].due.append(1.0)
    model.open_gate()
    await_outcomes(worker, clients, 3)
    assert log == [1, -2, 3]
    assert isinstance(clients[1].errors[0], FloatingPointError)


def test_calls_to_wake_it_that_came_while_it_ran_do_not_pile_up(attach: Callable[..., None]) -> None:
    worker, client = Worker(), Client(WholeWindow())
    attach(worker, client)
    client.on_store = worker.wake
    client.due.extend([0.0] * 300)
    worker.wake()
    await_outcomes(worker, [client], 300)
    # Whoever comes and goes is served by the same thread, behind everything that had piled up.
    for _ in range(50):
        attach(worker, Client(client.separator))
    assert client.looks < 2 * 300 + 100


# The end of the interpreter

UNRELEASED = """
import sys
sys.path.insert(0, {root!r})
import numpy as np
from streamer import StemProcessor
from streamer.testing import DelaySeparator, IdentitySeparator
left = []
for model in (IdentitySeparator(), DelaySeparator()):
    for realtime in (False, True):
        processor = StemProcessor(model, realtime=realtime)
        processor.prepare(sample_rate=44_100, channels=2, max_block_frames=512)
        processor.process(np.ones((2, 512), np.float32))
        left.append(processor)
{last}
print("end of the program")
"""


@pytest.mark.parametrize("last", ["", "del left, processor", "left[0].release()"])
def test_a_program_that_leaves_processors_prepared_ends_all_the_same(last: str) -> None:
    root = str(Path(__file__).parents[2])
    ended = subprocess.run(
        [sys.executable, "-c", UNRELEASED.format(root=root, last=last)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "end of the program\n", "")


# Turns, and the end of the thread


def test_streams_that_somebody_waits_for_take_turns(attach: Callable[..., None]) -> None:
    model, log = Recording(IdentitySeparator()), []
    worker = Worker()
    first, second = Client(model, 1, log), Client(model, 2, log)
    attach(worker, first, second)
    hold(worker, model, first)
    log.clear()
    for client in (first, second):
        client.due.extend([WAITING] * 6)
    model.open_gate()
    worker.wake()
    await_outcomes(worker, [first, second], 13)
    assert log[1:5] in ([1, 2, 1, 2], [2, 1, 2, 1])


def test_a_window_that_cannot_be_loaded_after_all_does_not_keep_the_others_from_running(
    attach: Callable[..., None],
) -> None:
    class Elusive(Client):
        def load(self, runner: Runner, row: int) -> bool:
            self.due.clear()
            return False

    worker = Worker()
    elusive, other = Elusive(IdentitySeparator()), Client(IdentitySeparator())
    attach(worker, elusive, other)
    elusive.due.append(0.0)
    other.due.append(1.0)
    worker.wake()
    await_outcomes(worker, [other], 1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_in_the_program_ends_the_thread_and_nobody_waits_for_it_forever() -> None:
    class Broken(Client):
        def load(self, runner: Runner, row: int) -> bool:
            raise ZeroDivisionError("a fault of the program")

    worker = Worker()
    client = Broken(IdentitySeparator())
    worker.attach(client)
    client.due.append(0.0)
    worker.wake()
    assert not worker.wait(lambda: False, LIMIT_S)
    assert not worker.is_running
    with pytest.raises(LifecycleError, match="use a new Worker"):
        worker.attach(Client(IdentitySeparator()))
    worker.detach(client)


def test_a_model_that_asks_for_the_end_of_the_program_ends_its_window_alone(attach: Callable[..., None]) -> None:
    model = Recording(IdentitySeparator())
    worker, client = Worker(), Client(model)
    attach(worker, client)
    model.error = SystemExit(3)
    client.due.append(0.0)
    worker.wake()
    await_outcomes(worker, [client], 1)
    assert "SystemExit" in str(client.errors[0])
    model.error = None
    client.due.append(0.0)
    worker.wake()
    await_outcomes(worker, [client], 2)
    assert len(client.results) == 1
