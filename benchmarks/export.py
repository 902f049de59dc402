"""What exported networks are made of, against what else they could be made of: time and exactness on this machine.

Three tables. The first compares ways to make the transforms of one window: in PyTorch, in NumPy as around ``core``, in
the graph of ``waveform``, and with ONNX's own operators, whose figures leave out the padding of the window and, on the
way back, everything but the DFT itself. The second compares ways to write an instance norm with a GELU behind it. The
third compares a network in ONNX Runtime with PyTorch, for several batch sizes. Ways take turns; times are medians.

    python benchmarks/export.py [--rounds 7] [--threads 1] [--small]
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from mdx23c_random import FULL, SMALL, parameter_count, save_random
from measured_process import processor
from onnx import TensorProto, helper

from engine import export_onnx
from engine.backends.onnx import OnnxSeparator
from engine.backends.runtime import ort
from engine.backends.torch_separator import TorchSeparator
from engine.graph_builder import GraphBuilder
from engine.models.mdx23c import SpectrumTransform
from engine.models.spectrum_graph import add_forward, add_inverse
from engine.spectrum import WindowSpectrum

F32 = npt.NDArray[np.float32]
Ways = Mapping[str, Callable[[], Any]]
_TRANSFORMS = ((8192, 1024, 4096, 261_120), (12_288, 2048, 4096, 260_096), (2048, 512, 1024, 130_560))
_SMALL_TRANSFORMS = ((96, 16, 48, 31 * 16),)
_STEMS = 4
_MIDDLE = replace(FULL, n_fft=2048, hop_frames=1024, frequencies=256, width=32, growth=32)


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="runs of each way, in turn (default 7)")
    parser.add_argument("--threads", type=int, default=1, help="threads of each way (default 1)")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to see that the program works")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(
        f"{processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, NumPy {np.__version__}, "
        f"PyTorch {torch.__version__}, ONNX Runtime {ort.__version__}, {arguments.threads} threads\n"
    )
    print(
        "| n_fft / hop | way | forward, 2 channels ms | error / peak | back, 4 stems ms | error |\n|---|---|"
        + 4 * "---:|"
    )
    for lengths in _SMALL_TRANSFORMS if arguments.small else _TRANSFORMS:
        _transforms(*lengths, arguments.rounds, arguments.threads)
    print("\n| norm and GELU | ms |\n|---|---:|")
    _norms(8 if arguments.small else 128, arguments.rounds, arguments.threads)
    architecture = SMALL if arguments.small else _MIDDLE
    print(f"\n{parameter_count(architecture) / 1e6:.1f} million parameters, windows of 261120 frames\n")
    print(
        "| batch | PyTorch ms a window | core | waveform | PyTorch / core | PyTorch / waveform |\n|---:|" + 5 * "---:|"
    )
    sizes = (1,) if arguments.small else (1, 2, 4)
    _networks(architecture, sizes, arguments.rounds, arguments.threads)


def _transforms(n_fft: int, hop: int, bins: int, frames: int, rounds: int, threads: int) -> None:
    rng = np.random.default_rng(0)
    audio = (0.3 * rng.standard_normal((2, frames))).astype(np.float32)
    exact, single = SpectrumTransform(n_fft, hop, bins), SpectrumTransform(n_fft, hop, bins)
    exact._window = torch.hann_window(n_fft, periodic=True, dtype=torch.float64)
    truth = exact.forward(torch.from_numpy(audio).double()[None])[0].numpy()
    parts = truth.astype(np.float32)
    stems = np.broadcast_to(parts, (_STEMS, *parts.shape)).copy()
    back = exact.inverse(torch.from_numpy(stems).double()[None])[0].numpy()
    alone = WindowSpectrum(n_fft, hop, bins, frames)
    out, heard = np.empty_like(parts), np.empty((_STEMS, 2, frames), np.float32)

    def numpy_forward() -> F32:
        alone.forward(audio, out)
        return out

    def numpy_back() -> F32:
        for spectrum, stem in zip(stems, heard, strict=True):
            alone.inverse(spectrum, stem)
        return heard

    lengths = {"n_fft": n_fft, "hop": hop, "bins": bins}
    graphs = []
    for add, axes in ((add_forward, ["rows", "frames"]), (add_inverse, ["rows", 2, bins, "columns"])):
        b = GraphBuilder()
        graphs.append(_session(b, add(b, "x", **lengths), axes, threads))
    rows = stems.reshape(-1, 2, *parts.shape[1:])
    reflected = np.pad(audio, ((0, 0), (n_fft // 2, n_fft // 2)), mode="reflect")[..., None]
    whole = _hermitian(rows, n_fft)
    stft, dft = _operators(n_fft, hop, threads)
    forward: Ways = {
        "PyTorch": lambda: single.forward(torch.from_numpy(audio)[None])[0].numpy(),
        "NumPy, around core": numpy_forward,
        "two dense factors, in waveform": lambda: graphs[0].run(None, {"x": audio})[0],
        "ONNX's operators": lambda: stft.run(None, {"x": reflected})[0][:, :, :bins].transpose(0, 3, 2, 1),
    }
    backward: Ways = {
        "PyTorch": lambda: single.inverse(torch.from_numpy(stems)[None])[0].numpy(),
        "NumPy, around core": numpy_back,
        "two dense factors, in waveform": lambda: graphs[1].run(None, {"x": rows})[0],
        "ONNX's operators": lambda: dft.run(None, {"x": whole})[0],
    }
    times, times_back = _timed(forward, rounds), _timed(backward, rounds)
    peak = np.abs(truth).max()
    for way in forward:
        error = np.abs(np.asarray(forward[way]()).reshape(truth.shape) - truth).max() / peak
        given = np.asarray(backward[way]())
        other = f"{np.abs(given.reshape(back.shape) - back).max():.0e}" if given.size == back.size else "-"
        print(
            f"| {n_fft} / {hop} | {way} | {times[way]:.1f} | {error:.0e} | {times_back[way]:.1f} | {other} |",
            flush=True,
        )


def _norms(channels: int, rounds: int, threads: int) -> None:
    x = np.random.default_rng(0).standard_normal((1, channels, 128, 1024)).astype(np.float32)
    sessions = {name: _norm_session(name, channels, threads) for name in ("fused", "gelu", "unfused", "reductions")}
    told = {
        "fused": "InstanceNormalization, and the error function as exported",
        "gelu": "InstanceNormalization and Gelu of opset 20",
        "unfused": "InstanceNormalization, and the error function of x times a factor",
        "reductions": "means, squares, one factor and one shift a channel, and Gelu",
    }
    for name, ms in _timed({name: _ran(session, x) for name, session in sessions.items()}, rounds).items():
        print(f"| {told[name]} | {ms:.1f} |", flush=True)


def _norm_session(kind: str, channels: int, threads: int) -> Any:
    b = GraphBuilder()
    gain, shift = np.full(channels, 1.1), np.full(channels, 0.1)
    if kind == "reductions":
        means = b.op("ReduceMean", ["x", b.integers(2, 3)], "mean", keepdims=1)
        squares = b.op("ReduceSumSquare", ["x", b.integers(2, 3)], "squares", keepdims=1)
        power = b.op("Div", [squares, b.shared("count", 128.0 * 1024.0)], "power")
        spread = b.op("Sub", [power, b.op("Mul", [means, means], "mean_power")], "spread")
        deviation = b.op("Sqrt", [b.op("Add", [spread, b.shared("least", 1e-5)], "more")], "deviation")
        factor = b.op("Div", [b.constant("gain", gain[:, None, None]), deviation], "factor")
        offset = b.op("Mul", [means, factor], "offset")
        rest = b.op("Sub", [b.constant("shift", shift[:, None, None]), offset], "rest")
        y = b.op("Add", [b.op("Mul", ["x", factor], "scaled"), rest], "normal")
    else:
        y = b.op("InstanceNormalization", ["x", b.constant("gain", gain), b.constant("shift", shift)], "normal")
    if kind in ("gelu", "reductions"):
        y = b.op("Gelu", [y], "active")
    else:
        scaled = ("Div", 2.0**0.5) if kind == "fused" else ("Mul", 0.5**0.5)
        error = b.op("Erf", [b.op(scaled[0], [y, b.shared("root", scaled[1])], "scaled_down")], "error")
        twice = b.op("Mul", [y, b.op("Add", [error, b.shared("one", 1.0)], "above")], "twice")
        y = b.op("Mul", [twice, b.shared("half", 0.5)], "active")
    # The newer operator alone needs the newer set: in that one ONNX Runtime leaves the error function as it is.
    opset = 20 if kind in ("gelu", "reductions") else 17
    return _session(b, y, ["batch", channels, "rows", 1024], threads, opset)


def _networks(architecture: Any, sizes: tuple[int, ...], rounds: int, threads: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, config = save_random(architecture, Path(folder))
        models: dict[str, Any] = {"PyTorch": TorchSeparator(checkpoint, config=config, threads=threads)}
        for part in ("core", "waveform"):
            path = Path(folder, f"{part}.onnx")
            export_onnx(checkpoint, path, config=config, part=part)
            models[part] = OnnxSeparator(path, threads=threads)
        spec = models["core"].spec
        for size in sizes:
            runners = {way: model.runner(size, spec.window_frames) for way, model in models.items()}
            for runner in runners.values():
                runner.windows[...] = 0.2 * np.random.default_rng(0).standard_normal(runner.windows.shape)
            runs = _each(
                {way: lambda runner=runner, size=size: runner.run(size) for way, runner in runners.items()}, rounds
            )
            ms = {way: median(times) / size for way, times in runs.items()}
            ratios = [median(np.divide(runs["PyTorch"], runs[part])) for part in ("core", "waveform")]
            print(f"| {size} | {' | '.join(f'{each:.0f}' for each in ms.values())} | ", end="")
            print(" | ".join(f"{ratio:.2f}" for ratio in ratios) + " |", flush=True)


def _operators(n_fft: int, hop: int, threads: int) -> tuple[Any, Any]:
    b = GraphBuilder()
    window = b.constant("window", 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n_fft) / n_fft))
    y = b.op("STFT", ["x", b.scalar("hop", hop), window, b.scalar("length", n_fft)], "columns", onesided=1)
    stft = _session(b, y, [2, "frames", 1], threads)
    b = GraphBuilder()
    return stft, _session(b, b.op("DFT", ["x"], "columns", axis=2, inverse=1), ["rows", "columns", n_fft, 2], threads)


def _hermitian(rows: F32, n_fft: int) -> F32:
    """Give (rows, columns, n_fft, 2): all bins of columns whose lowest are (rows, 2, bins, columns)."""
    columns = (rows[:, 0] + 1j * rows[:, 1]).transpose(0, 2, 1)
    whole = np.fft.fft(np.fft.irfft(columns, n_fft, axis=-1), axis=-1)
    return np.stack((whole.real, whole.imag), axis=-1).astype(np.float32)


def _session(b: GraphBuilder, output: str, axes: list[Any], threads: int, opset: int = 17) -> Any:
    graph = helper.make_graph(
        b.nodes,
        "measured",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, axes)],
        [onnx.ValueInfoProto(name=output)],
        b.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _ran(session: Any, x: F32) -> Callable[[], Any]:
    return lambda: session.run(None, {"x": x})


def _timed(ways: Ways, rounds: int) -> dict[str, float]:
    return {way: median(times) for way, times in _each(ways, rounds).items()}


def _each(ways: Ways, rounds: int) -> dict[str, list[float]]:
    """Run the ways in turn after one run each that does not count; give the milliseconds of every run."""
    times: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(rounds + 1):
        for way, run in ways.items():
            begin = time.perf_counter()
            run()
            if turn:
                times[way].append(1000.0 * (time.perf_counter() - begin))
    return times


if __name__ == "__main__":
    main()
