"""What causality costs the embedded separator: SDR and SI-SDR improvement against its look-ahead.

The algorithmic latency A is what an output frame waits for, ``n_fft / rate`` and the hops that its masks wait for on
top. Three curves: transforms of 256 to 8192 frames with a quarter of that as hop, the shipped transform of 2048 frames
with 1 to 36 later hops, and one of 4096 frames with some. There is no point at 0 ms, since a transform has a length;
the first is at 5.8 ms. ``spatial_lookahead_model.py`` says what later hops are used for.

A level that knows the future is nearer to the music's own, and other lengths have other levels, so one constant, the
margin, is chosen anew for every point: from -2 to 4 in steps of 1, 0.5 and then 0.25 around the best, by the largest
mean SDR over the stems of the tuning excerpts. The rows called shipped keep the design's margin. Everything else is the
design's; widths are in Hz and times in seconds, so they go with the transform.

The last table takes one thing at a time from the shipped lengths, again with the best margin for each.

    python benchmarks/spatial_lookahead.py FOLDER [--tune NAME ...] [--held-out NAME ...] [--no-song] [--seconds N]
        [--json FILE] [--plot FILE.svg]

FOLDER is one for ``quality.py``, 44.1 kHz and stereo. The demo's song, 20 s, is a tuning excerpt too. Means over
excerpts that are held out stand apart, with a star. Scores are ``SDR / SI-SDR improvement`` in dB, each the mean over
the excerpts in which the stem plays. Needs the extra ``bench``: ``pip install '.[bench]'``. Takes 8 s of one core and
26 MB of memory for each second of tuning excerpts.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from quality_excerpts import Excerpt, find_excerpts, read_excerpt
from quality_scores import score_excerpt
from spatial_lookahead_model import Analysis, Variant, largest_difference
from spatial_lookahead_report import Row, as_json, plot, table

from engine import StemstreamError
from engine.errors import ConfigurationError
from engine.metrics import sdr_db
from engine.models.spatial_design import SpatialDesign
from engine.models.spatial_graph import SHIPPED
from streamer.song import compose_song

__all__ = ["Point", "choose_margin", "curves", "main", "parts"]

_DESIGN = SpatialDesign()
_RATE = _DESIGN.sample_rate
_LARGEST_DIFFERENCE = 1e-5
_COARSE_MARGINS = (-2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0)
_FINEST_STEP = 0.25
# Shorter than any hop: a follower that forgets at once.
_NO_MEMORY_S = 1e-4


@dataclass(frozen=True)
class Point:
    """A variant, the curve or table it belongs to, and whether it keeps the design's margin."""

    group: str
    name: str
    variant: Variant

    @property
    def is_as_shipped(self) -> bool:
        """The margin is the design's instead of the best one."""
        return self.group == "shipped"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables and write what was asked for; give the exit code."""
    options = _parse(arguments)
    try:
        _run(options)
    except StemstreamError as error:
        print(f"spatial_lookahead.py: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def curves() -> Iterator[Point]:
    """Give the points of the curves and the shipped ones."""
    for name, design in reversed(SHIPPED.values()):
        yield Point("shipped", f"{name}, as shipped", Variant(design))
    for n_fft in (256, 512, 1024, 2048, 4096, 8192):
        yield Point("transform", "transform", Variant(replace(_DESIGN, n_fft=n_fft, hop_frames=n_fft // 4)))
    for n_fft, later in ((2048, (1, 2, 4, 8, 16, 24, 36)), (4096, (2, 4, 8, 16))):
        design = replace(_DESIGN, n_fft=n_fft, hop_frames=n_fft // 4)
        for hops in later:
            yield Point(f"{n_fft}, later hops", "later hops", Variant(design, extra_hops=hops))


def parts() -> Iterator[Point]:
    """Give the shipped design and what is left of it when one part is taken away."""
    yield Point("shipped", "as shipped", Variant(_DESIGN))
    yield Point("part", "margin chosen here", Variant(_DESIGN))
    weights = [weight for _, _, weight in _DESIGN.registers]
    changes = {
        "no partials": {"registers": _registers(weights=[0.0] * len(weights))},
        "no partials above the lowest octave": {"registers": _registers(weights=[min(w, 0.0) for w in weights])},
        "lowest octave against neighbours": {"registers": _registers(weights=[max(w, 0.0) for w in weights])},
        "one sharpness everywhere": {"registers": _registers(sharpness=0.45)},
        "partial level of single bins": {"partial_hz": 0.0},
        "no slow fall of partials": {"partial_decay_s": _NO_MEMORY_S},
        "no voice contrast": {"voice_contrast": 0.0},
        "panning of one hop": {"panning_s": _NO_MEMORY_S},
        "all time constants doubled": {
            name: 2.0 * getattr(_DESIGN, name) for name in ("attack_s", "release_s", "partial_decay_s", "panning_s")
        },
    }
    for name, change in changes.items():
        yield Point("part", name, Variant(replace(_DESIGN, **change)))
    yield Point("part", "no panning", Variant(_DESIGN, hears_panning=False))
    yield Point("part", "binary masks", Variant(_DESIGN, is_binary=True))


def choose_margin(score: Callable[[float], float]) -> dict[float, float]:
    """Score margins, first far apart and then near the best; give the score of each, the best one first."""
    scores = {margin: score(margin) for margin in _COARSE_MARGINS}
    step = _COARSE_MARGINS[1] - _COARSE_MARGINS[0]
    while step > _FINEST_STEP:
        step /= 2.0
        best = max(scores, key=scores.__getitem__)
        scores |= {margin: score(margin) for margin in (best - step, best + step)}
    return dict(sorted(scores.items(), key=lambda item: -item[1]))


def _registers(
    *, sharpness: float | None = None, weights: Sequence[float] | None = None
) -> tuple[tuple[float, float, float], ...]:
    """Change a column of the registers; where a bin is compared with its past, it stays so under one sharpness."""
    changed = []
    for n, (hz, own, weight) in enumerate(_DESIGN.registers):
        if weights is not None:
            changed.append((hz, own, weights[n]))
        else:
            changed.append((hz, sharpness or own, -(sharpness or own) if weight == -own else weight))
    return tuple(changed)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of excerpts, or one excerpt")
    parser.add_argument("--tune", nargs="+", metavar="NAME", help="choose by these (default all not held out)")
    parser.add_argument("--held-out", nargs="+", metavar="NAME", default=[], help="score these apart")
    parser.add_argument("--no-song", action="store_true", help="leave the demo's song out")
    parser.add_argument("--seconds", type=float, metavar="N", help="use the first N seconds of each excerpt")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the curves there (or FILE.png)")
    options = parser.parse_args(arguments)
    if options.seconds is not None and not (math.isfinite(options.seconds) and options.seconds * _RATE >= 1.0):
        parser.error(f"--seconds {options.seconds:g}: give more than 0")
    if options.plot is not None and options.plot.suffix.lower() not in (".svg", ".png"):
        parser.error(f"--plot {options.plot}: give a name that ends in .svg or .png")
    for path in (options.json, options.plot):
        if path is not None and not path.absolute().parent.is_dir():
            parser.error(f"the folder of {path} does not exist: make it first")
    return options


def _run(options: argparse.Namespace) -> None:
    tuning, held_out = _excerpts(options)
    _check_agreement(tuning[0])
    names = {excerpt.name: "held out" if excerpt in held_out else "tuning" for excerpt in (*tuning, *held_out)}
    stems = [stem for stem in _DESIGN.stems if any(stem in excerpt.truths for excerpt in (*tuning, *held_out))]
    print(f"Python {platform.python_version()}, NumPy {np.__version__}; ", end="")
    print(", ".join(f"{name} ({use})" for name, use in names.items()), flush=True)
    apart = [excerpt.name for excerpt in held_out]
    rows = []
    for points in (curves(), parts()):
        measured = [_measure(point, tuning, held_out) for point in points]
        print("\n" + table(measured, apart, stems), flush=True)
        rows.append(measured)
    if options.json:
        facts = {"python": platform.python_version(), "numpy": np.__version__, "excerpts": names}
        everything = as_json([row for measured in rows for row in measured], apart, facts)
        options.json.write_text(json.dumps(everything, indent=2, allow_nan=False), encoding="utf-8")
    if options.plot:
        plot(rows[0], apart, "What look-ahead brings to the spatial separator", options.plot)


def _excerpts(options: argparse.Namespace) -> tuple[list[Excerpt], list[Excerpt]]:
    everything = {files.name: files for files in find_excerpts(options.folder)}
    tune = options.tune or [name for name in everything if name not in options.held_out]
    for option, names in (("--tune", tune), ("--held-out", options.held_out)):
        for name in names:
            if name not in everything:
                raise ConfigurationError(f"{option} {name} is not an excerpt: there are {', '.join(everything)}")
    for name in tune:
        if name in options.held_out:
            raise ConfigurationError(f"{name} is to be tuned on and to be held out: name it once")
    tuning = [read_excerpt(everything[name]) for name in dict.fromkeys(tune)]
    if not options.no_song:
        song = compose_song(sample_rate=_RATE)
        tuning.append(Excerpt("song", _RATE, song.mixture, song.stems))
    if not tuning:
        raise ConfigurationError("no excerpt is left to choose the margin by: hold fewer out or leave --no-song out")
    held_out = [read_excerpt(everything[name]) for name in dict.fromkeys(options.held_out)]
    return [_cut(each, options.seconds) for each in tuning], [_cut(each, options.seconds) for each in held_out]


def _cut(excerpt: Excerpt, seconds: float | None) -> Excerpt:
    channels, frames = excerpt.mixture.shape
    if (channels, excerpt.sample_rate) != (2, _RATE):
        raise ConfigurationError(
            f"{excerpt.name} has {channels} channels at {excerpt.sample_rate} Hz: give stereo at {_RATE} Hz"
        )
    frames = frames if seconds is None else min(frames, round(seconds * _RATE))
    truths = {stem: audio[:, :frames] for stem, audio in excerpt.truths.items() if stem in _DESIGN.stems}
    truths = {stem: audio for stem, audio in truths.items() if audio.any()}
    if not truths:
        raise ConfigurationError(f"none of {', '.join(_DESIGN.stems)} plays in {excerpt.name}: leave it out")
    return Excerpt(excerpt.name, _RATE, excerpt.mixture[:, :frames], truths)


def _check_agreement(excerpt: Excerpt) -> None:
    """Compare a second with the reference, so that no curve is drawn of something else."""
    difference = largest_difference(excerpt.mixture[:, :_RATE], _DESIGN)
    assert difference < _LARGEST_DIFFERENCE, f"{excerpt.name} differs by {difference:g} from the reference"


def _measure(point: Point, tuning: Sequence[Excerpt], held_out: Sequence[Excerpt]) -> Row:
    analyses = [Analysis(excerpt.mixture, point.variant) for excerpt in tuning]

    def score(margin: float) -> float:
        by_stem: dict[str, list[float]] = {}
        for excerpt, analysis in zip(tuning, analyses, strict=True):
            for stem, estimate in zip(_DESIGN.stems, analysis.separate(margin), strict=True):
                if stem in excerpt.truths:
                    by_stem.setdefault(stem, []).append(sdr_db(excerpt.truths[stem], estimate))
        return float(np.mean([np.mean(each) for each in by_stem.values()]))

    by_margin = {} if point.is_as_shipped else choose_margin(score)
    margin = next(iter(by_margin), point.variant.design.margin)
    scores = {}
    for excerpt, analysis in (
        *zip(tuning, analyses, strict=True),
        *((each, Analysis(each.mixture, point.variant)) for each in held_out),
    ):
        estimates = dict(zip(_DESIGN.stems, analysis.separate(margin), strict=True))
        scores[excerpt.name] = score_excerpt(excerpt, estimates, with_filtered=False)
    return Row(point.group, point.name, point.variant, margin, scores, by_margin)


if __name__ == "__main__":
    sys.exit(main())
