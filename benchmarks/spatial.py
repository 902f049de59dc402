"""What a hop of the embedded separator costs, alone and beside a thread that burns Python.

Two tables. The first compares ways to do the Fourier transforms of one hop: one forward and three inverse ones of a
stereo signal, back to back. The second compares the separator's graph with its NumPy reference: percentiles per hop on
a thread of its own that runs in the time of the music, and the real-time factors of that thread, by the clock and by
the processor time that it used. Beside the burning thread every time the interpreter's lock is let go costs up to its
switch interval (5 ms) to get back, so what counts there is how often that happens.

    python benchmarks/spatial.py [--hops 1000] [--seconds 15] [--switch-interval-ms 5]

Needs the ``onnx`` package to build the graphs that are not shipped.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from engine.backends.onnx import OnnxSeparator
from engine.backends.runtime import ort
from engine.graph_builder import GraphBuilder
from engine.machine import processor_name
from engine.models.spatial import load
from engine.models.spatial_design import SpatialDesign
from engine.models.spatial_graph import build_graph
from engine.models.spatial_reference import SpatialReference
from engine.models.spatial_transform import add_forward, add_inverse
from engine.separator import Separator

_STEMS = 3  # transformed back; the fourth is a subtraction
_WARM_UP = 20


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hops", type=int, default=1000, help="hops per row (default 1000)")
    parser.add_argument("--seconds", type=float, default=15.0, help="at most this long per row (default 15)")
    parser.add_argument(
        "--switch-interval-ms",
        type=float,
        default=5.0,
        help="how long a thread may keep the lock (default 5, Python's)",
    )
    arguments = parser.parse_args()
    sys.setswitchinterval(arguments.switch_interval_ms / 1e3)
    print(f"{processor_name()}, {os.cpu_count()} cores; Python {platform.python_version()}, ", end="")
    print(f"NumPy {np.__version__}, ONNX Runtime {ort.__version__}, one thread, ", end="")
    print(f"switch interval {1e3 * sys.getswitchinterval():g} ms\n")

    print("one forward and three inverse transforms of 2048 points, two channels")
    print("| way | p50 ms | p99 ms |\n|---|---:|---:|")
    for name, run in _transforms(2048):
        times = _time(run, arguments.hops, arguments.seconds)
        print(f"| {name} | {_percentile(times, 50)} | {_percentile(times, 99)} |", flush=True)

    print("\none hop of the separator")
    print("| separator | n_fft / hop | beside | hops | p50 ms | p99 ms | max ms | wall / audio | cpu / audio |")
    print("|---|---|---|---:|---:|---:|---:|---:|---:|")
    for name, separator, run in _separators():
        hop_s = separator.spec.hop_frames / separator.spec.sample_rate
        for beside, context in (("nothing", _nothing), ("burning Python", _burning_python)):
            with context():
                times, cpu = _time_on_thread(run, arguments.hops, arguments.seconds, hop_s)
            lengths = f"{separator.spec.lookahead_frames + separator.spec.hop_frames} / {separator.spec.hop_frames}"
            print(
                f"| {name} | {lengths} | {beside} | {len(times)} | {_percentile(times, 50)} | {_percentile(times, 99)} "
                f"| {1e3 * times.max():.2f} | {times.mean() / hop_s:.3f} | {cpu / len(times) / hop_s:.3f} |",
                flush=True,
            )


def _separators() -> Iterator[tuple[str, Separator, Callable[[], object]]]:
    yield _through_runner("graph, bound buffers", load())
    yield _through_process("graph", load())
    yield _through_process("NumPy reference", SpatialReference())
    for n_fft, hop_frames in ((2048, 256), (1024, 256), (1024, 512)):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "spatial.onnx"
            onnx.save(build_graph(SpatialDesign(n_fft=n_fft, hop_frames=hop_frames)), path)
            yield _through_runner("graph, bound buffers", OnnxSeparator(path))


def _through_runner(name: str, separator: Separator) -> tuple[str, Separator, Callable[[], object]]:
    runner = separator.runner(1, separator.spec.window_frames)
    runner.windows[:] = _noise(runner.windows.shape)
    return name, separator, lambda: runner.run(1)


def _through_process(name: str, separator: Separator) -> tuple[str, Separator, Callable[[], object]]:
    states = separator.spec.initial_states(1)
    windows = _noise((1, separator.spec.channels, separator.spec.window_frames))

    def run() -> None:
        nonlocal states
        _, states = separator.process(windows, states)

    return name, separator, run


def _transforms(n_fft: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """Each from a stereo frame to the three separated ones, in the layout that suits it, masks left out."""
    stereo = _noise((1, 2, n_fft))
    yield "two dense factors (as shipped)", _session(_factored(n_fft), {"x": stereo})
    yield "dense matrices", _session(_dense(n_fft), {"x": stereo})
    complex_last = np.ascontiguousarray(stereo.transpose(0, 2, 1))
    yield "ONNX Runtime's DFT operator", _session(_operator(n_fft), {"x": complex_last})
    packed = (stereo[0, 0] + 1j * stereo[0, 1]).astype(np.complex64)
    yield "numpy.fft", lambda: np.fft.ifft(np.stack([np.fft.fft(packed)] * _STEMS))


def _factored(n_fft: int) -> onnx.ModelProto:
    b = GraphBuilder()
    spectrum = b.reshape(add_forward(b, "x", n_fft), "row", -1, 1, 2, n_fft)
    three = b.op("Concat", [spectrum] * _STEMS, "three", axis=1)
    return _model(b, add_inverse(b, three, _STEMS, n_fft), [1, 2, n_fft])


def _dense(n_fft: int) -> onnx.ModelProto:
    angles = 2.0 * np.pi * np.outer(np.arange(n_fft), np.arange(n_fft // 2 + 1)) / n_fft
    forward = np.concatenate((np.cos(angles), -np.sin(angles)), axis=1)
    b = GraphBuilder()
    spectrum = b.op("MatMul", ["x", b.constant("forward", forward)], "spectrum")
    three = b.op("Concat", [spectrum] * _STEMS, "three", axis=1)
    return _model(b, b.op("MatMul", [three, b.constant("inverse", forward.T / n_fft)], "back"), [1, 2, n_fft])


def _operator(n_fft: int) -> onnx.ModelProto:
    b = GraphBuilder()
    spectrum = b.op("DFT", ["x"], "spectrum", axis=1)
    three = b.op("Concat", [spectrum] * _STEMS, "three", axis=0)
    return _model(b, b.op("DFT", [three], "back", axis=1, inverse=1), [1, n_fft, 2])


def _model(b: GraphBuilder, output: str, shape: list[int]) -> onnx.ModelProto:
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    made = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    graph = helper.make_graph(b.nodes, "transforms", [given], [made], b.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _session(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> Callable[[], object]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, inputs)


def _noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).normal(0.0, 0.1, shape).astype(np.float32)


def _time(run: Callable[[], object], hops: int, limit_s: float, every_s: float = 0.0) -> np.ndarray:
    for _ in range(_WARM_UP):
        run()
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < hops and (now := time.perf_counter()) < start + limit_s:
        rest_s = start + len(times) * every_s - now
        if rest_s > 0.0:
            time.sleep(rest_s)
            now = time.perf_counter()
        run()
        times.append(time.perf_counter() - now)
    return np.array(times)


def _time_on_thread(run: Callable[[], object], hops: int, limit_s: float, every_s: float) -> tuple[np.ndarray, float]:
    """Time ``run`` on a thread of its own; also give the processor time that this thread took for the timed hops."""
    results: list[tuple[np.ndarray, float]] = []

    def work() -> None:
        start = time.thread_time()
        times = _time(run, hops, limit_s, every_s)
        share = len(times) / (len(times) + _WARM_UP)
        results.append((times, (time.thread_time() - start) * share))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return results[0]


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _burning_python() -> Iterator[None]:
    stop = threading.Event()

    def burn() -> None:
        total = 0
        while not stop.is_set():
            for number in range(1000):
                total += number

    thread = threading.Thread(target=burn)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _percentile(times: np.ndarray, percent: float) -> str:
    return f"{1e3 * np.percentile(times, percent):.3f}"


if __name__ == "__main__":
    main()
