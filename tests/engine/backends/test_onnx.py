"""An ONNX file is a model like any other, or one clear line says why it is not."""

from __future__ import annotations

import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.backends.onnx import OnnxSeparator
from engine.backends.onnx_runners import OnnxRunner
from engine.errors import ConfigurationError, ModelError
from engine.spec import StateSpec
from tests.engine.onnx_models import (
    DELAY_STATES,
    describe,
    fails_when_loud,
    gains,
    one_hop_delay,
    save,
)

TWO = {"sample_rate": 44_100, "stems": ["vocals", "other"]}
ONE = {"sample_rate": 44_100, "stems": ["all"]}


def noise(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def printed(program: str, folder: Path) -> list[str]:
    """Run a program in a process of its own and give the words that it printed."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[3])!r})\n{program}"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.fixture
def two_gains(tmp_path: Path) -> OnnxSeparator:
    return OnnxSeparator(save(tmp_path / "g.onnx", gains(0.25, 0.75), {**TWO, "window_frames": 64}))


@pytest.fixture(params=["batch", 1], ids=["open batch axis", "batch axis of 1"])
def delay(request: pytest.FixtureRequest, tmp_path: Path) -> OnnxSeparator:
    made = one_hop_delay(8, batch=request.param)
    return OnnxSeparator(save(tmp_path / "delay.onnx", made, {**ONE, "states": DELAY_STATES, "lookahead_frames": 8}))


class TestWindowed:
    def test_gives_the_stems_of_each_window(self, two_gains: OnnxSeparator) -> None:
        windows = noise(3, 2, 64)
        stems, states = two_gains.process(windows, ())
        np.testing.assert_array_equal(stems, np.stack((windows * 0.25, windows * 0.75), axis=1))
        assert stems.dtype == np.float32
        assert states == ()

    def test_takes_its_facts_from_the_graph_and_the_description(self, tmp_path: Path) -> None:
        described = describe(
            gains(1.0, 0.0, channels=1, frames=100),
            **TWO,
            name="duo",
            hop_frames=30,
            lookahead_frames=10,
            fade_frames=5,
            priming_frames=7,
            residual="rest",
            description="a pair",
        )
        spec = OnnxSeparator(save(tmp_path / "a.onnx", described)).spec
        assert (spec.name, spec.sample_rate, spec.channels, spec.stems) == ("duo", 44_100, 1, ("vocals", "other"))
        assert (spec.window_frames, spec.hop_frames, spec.lookahead_frames, spec.fade_frames) == (100, 30, 10, 5)
        assert (spec.priming_frames, spec.residual, spec.description) == (7, "rest", "a pair")
        assert not spec.stateful

    def test_defaults_are_half_of_what_the_lookahead_leaves_and_a_quarter_of_that(self, tmp_path: Path) -> None:
        path = save(tmp_path / "short.onnx", gains(1.0, 0.0, frames=100), {**TWO, "lookahead_frames": 20})
        spec = OnnxSeparator(path).spec
        assert (spec.name, spec.hop_frames, spec.fade_frames, spec.residual) == ("short", 40, 10, "other")

    def test_a_hop_as_long_as_the_window_leaves_no_fade(self, tmp_path: Path) -> None:
        path = save(tmp_path / "a.onnx", gains(1.0, 0.0, frames=100), {**TWO, "hop_frames": 100})
        assert OnnxSeparator(path).spec.fade_frames == 0

    def test_the_files_own_description_wins_over_the_one_beside_it(self, tmp_path: Path) -> None:
        described = describe(gains(1.0, 0.0, frames=64), **TWO, name="inside")
        path = save(tmp_path / "a.onnx", described, {**TWO, "name": "beside"})
        assert OnnxSeparator(path).spec.name == "inside"

    def test_channels_may_be_described_where_the_graph_leaves_them_open(self, tmp_path: Path) -> None:
        path = save(tmp_path / "a.onnx", gains(1.0, 0.0, channels="c", frames=64), {**TWO, "channels": 1})
        assert OnnxSeparator(path).process(noise(1, 1, 64), ())[0].shape == (1, 2, 1, 64)

    def test_other_windows_run_in_steps_of_the_granularity_only(self, tmp_path: Path) -> None:
        beside = {**TWO, "window_frames": 64, "window_granularity_frames": 16}
        separator = OnnxSeparator(save(tmp_path / "a.onnx", gains(1.0, 0.0), beside))
        runner = separator.runner(1, 96)
        runner.windows[:] = 1
        runner.run(1)
        assert runner.stems.shape == (1, 2, 2, 96)
        assert runner.stems[:, 0].min() == 1
        with pytest.raises(ModelError, match="no window of 90 frames: use 64 frames or multiples of 16"):
            separator.runner(1, 90)

    def test_a_fixed_window_takes_no_other(self, two_gains: OnnxSeparator) -> None:
        with pytest.raises(ModelError, match="use 64 frames only"):
            two_gains.runner(1, 128)

    def test_a_batch_axis_of_one_runs_row_by_row(self, tmp_path: Path) -> None:
        path = save(tmp_path / "a.onnx", gains(0.5, 2.0, batch=1, frames=16), TWO)
        separator = OnnxSeparator(path)
        windows = noise(3, 2, 16)
        expected = np.stack((windows * 0.5, windows * 2), axis=1)
        np.testing.assert_array_equal(separator.process(windows, ())[0], expected)
        runner = separator.runner(3, 16)
        runner.windows[:] = windows
        runner.run(2)
        np.testing.assert_array_equal(runner.stems[:2], expected[:2])
        assert not runner.stems[2].any()


class TestStateful:
    def test_takes_the_states_shapes_and_types_from_the_graph(self, delay: OnnxSeparator) -> None:
        assert delay.spec.stateful
        assert delay.spec.states == (StateSpec("past", (2, 8)), StateSpec("count", (1,), "int64", 3.0))
        assert (delay.spec.hop_frames, delay.spec.window_frames, delay.spec.fade_frames) == (8, 8, 0)

    def test_the_runner_carries_the_states_of_each_row_from_hop_to_hop(self, delay: OnnxSeparator) -> None:
        signal = noise(3, 2, 5 * 8)
        runner = delay.runner(3, 8)
        heard = []
        for hop in range(5):
            runner.windows[:] = signal[:, :, hop * 8 : hop * 8 + 8]
            runner.run(3)
            heard.append(runner.stems[:, 0].copy())
        expected = np.concatenate((np.zeros((3, 2, 8), np.float32), signal[:, :, :-8]), axis=2)
        np.testing.assert_array_equal(np.concatenate(heard, axis=2), expected)
        np.testing.assert_array_equal(runner.states[1], [[8], [8], [8]])

    def test_rows_beyond_those_run_keep_their_states(self, delay: OnnxSeparator) -> None:
        runner = delay.runner(3, 8)
        runner.windows[:] = 1
        runner.run(2)
        np.testing.assert_array_equal(runner.states[1], [[4], [4], [3]])
        assert runner.states[0][:2].min() == 1
        assert not runner.states[0][2].any()

    def test_a_plain_call_returns_the_new_states_and_leaves_the_old(self, delay: OnnxSeparator) -> None:
        windows, states = noise(2, 2, 8), delay.spec.initial_states(2)
        stems, new = delay.process(windows, states)
        np.testing.assert_array_equal(new[0], windows)
        np.testing.assert_array_equal(new[1], [[4], [4]])
        np.testing.assert_array_equal(delay.process(windows, new)[0][:, 0], windows)
        assert not states[0].any()
        assert not stems.any()

    def test_the_hop_may_be_described_where_the_graph_leaves_it_open(self, tmp_path: Path) -> None:
        beside = {**ONE, "hop_frames": 12, "states": [DELAY_STATES[1], {"input": "past", "output": "next_past"}]}
        made = one_hop_delay("hop")
        with pytest.raises(ModelError, match=r"must be \[batch, ...\] with every axis after the first fixed"):
            OnnxSeparator(save(tmp_path / "a.onnx", made, beside))
        made.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 12
        assert OnnxSeparator(save(tmp_path / "a.onnx", made, beside)).spec.window_frames == 12

    def test_a_failed_run_is_one_line_and_leaves_the_states(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        beside = {**ONE, "states": [{"input": "runs", "output": "next_runs"}]}
        runner = OnnxSeparator(save(tmp_path / "loud.onnx", fails_when_loud(), beside)).runner(1, 8)
        runner.run(1)
        runner.windows[:] = 5
        with pytest.raises(ModelError, match=r"^model 'loud' failed in ONNX Runtime: .*out of data bounds.*$"):
            runner.run(1)
        assert runner.states[0].item() == 1
        runner.windows[:] = 0
        runner.run(1)
        assert runner.states[0].item() == 2
        assert capfd.readouterr() == ("", "")


class TestRunner:
    @pytest.mark.parametrize("batch", ["batch", 1])
    def test_allocates_no_array_after_its_creation(self, tmp_path: Path, batch: str | int) -> None:
        made = one_hop_delay(4096, batch=batch)
        runner = OnnxSeparator(save(tmp_path / "a.onnx", made, {**ONE, "states": DELAY_STATES})).runner(4, 4096)
        runner.run(4)
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            for n in range(500):
                runner.run(n % 4 + 1)
            after, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert after - before < 16_384
        assert peak - before < 16_384  # one row alone would take 32 KiB

    def test_runs_from_one_row_to_all_of_them(self, two_gains: OnnxSeparator) -> None:
        runner = two_gains.runner(2, 64)
        for n in (0, 3, -1):
            with pytest.raises(ConfigurationError, match="this runner takes 1 to 2"):
                runner.run(n)
        with pytest.raises(ConfigurationError, match="must be at least 1"):
            two_gains.runner(0, 64)

    def test_runners_of_one_model_work_side_by_side(self, delay: OnnxSeparator) -> None:
        signals, heard = noise(2, 1, 2, 200 * 8), np.zeros((2, 1, 2, 200 * 8), np.float32)

        def work(which: int, runner: OnnxRunner) -> None:
            for at in range(0, 200 * 8, 8):
                runner.windows[:] = signals[which, :, :, at : at + 8]
                runner.run(1)
                heard[which, :, :, at : at + 8] = runner.stems[:, 0]

        threads = [threading.Thread(target=work, args=(which, delay.runner(1, 8))) for which in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        np.testing.assert_array_equal(heard[..., 8:], signals[..., :-8])

    @pytest.mark.skipif(sys.platform != "linux", reason="known to work on Linux only")
    def test_flushes_denormals_on_whichever_thread_runs_it(self, tmp_path: Path) -> None:
        save(tmp_path / "a.onnx", gains(0.5, 0.5, frames=64), TWO)
        # Neither way in which ONNX Runtime's own option spreads is open: another session comes first, and the
        # thread is older than the model.
        program = (
            "import threading, numpy as np, onnxruntime as ort\n"
            "ort.InferenceSession('a.onnx', providers=['CPUExecutionProvider'])\n"
            "from engine.backends.onnx import OnnxSeparator\n"
            "loaded = threading.Event()\n"
            "thread = threading.Thread(target=lambda: loaded.wait() and runner.run(1)); thread.start()\n"
            "separator = OnnxSeparator('a.onnx'); runner = separator.runner(1, 64)\n"
            "runner.windows[:] = 1e-39\n"
            "runner.stems[:] = 1\n"
            "loaded.set(); thread.join()\n"
            "print(runner.windows.max() > 0, runner.stems.max(), separator.process(runner.windows, ())[0].max())\n"
        )
        assert printed(program, tmp_path) == ["True", "0.0", "0.0"]

    @pytest.mark.skipif(sys.platform != "linux", reason="known to work on Linux only")
    def test_leaves_the_callers_arithmetic_as_it_was(self, tmp_path: Path) -> None:
        save(tmp_path / "a.onnx", gains(0.5, 0.5, frames=64), TWO)
        program = (
            "import numpy as np\n"
            "from engine.backends.onnx import OnnxSeparator\n"
            "separator = OnnxSeparator('a.onnx'); runner = separator.runner(1, 64)\n"
            "runner.run(1); separator.process(runner.windows, ())\n"
            "print((np.full(64, 1e-39, np.float32) * np.float32(0.5)).max() > 0)\n"
        )
        assert printed(program, tmp_path) == ["True"]


class TestSession:
    def test_is_bounded_and_does_not_spin(self, two_gains: OnnxSeparator) -> None:
        options = two_gains._session.get_session_options()
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
        for key, value in (
            ("session.intra_op.allow_spinning", "0"),
            ("session.inter_op.allow_spinning", "0"),
            ("session.set_denormal_as_zero", "1"),
        ):
            assert options.get_session_config_entry(key) == value

    def test_uses_the_threads_asked_for_up_to_the_machines(self, tmp_path: Path, monkeypatch: Any) -> None:
        monkeypatch.setattr("os.cpu_count", lambda: 2)
        path = save(tmp_path / "a.onnx", gains(1.0, 0.0, frames=8), TWO)
        for asked, used in ((2, 2), (64, 2)):
            assert OnnxSeparator(path, threads=asked)._session.get_session_options().intra_op_num_threads == used

    @pytest.mark.parametrize("threads", [0, -1, 1.5])
    def test_refuses_other_threads(self, tmp_path: Path, threads: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"threads is .*: it must be an integer from 1"):
            OnnxSeparator(tmp_path / "a.onnx", threads=threads)

    def test_a_released_model_says_so(self, two_gains: OnnxSeparator) -> None:
        runner = two_gains.runner(1, 64)
        two_gains.release()
        two_gains.release()
        with pytest.raises(ModelError, match="has been released"):
            two_gains.process(noise(1, 2, 64), ())
        with pytest.raises(ModelError, match="has been released"):
            two_gains.runner(1, 64)
        runner.run(1)
