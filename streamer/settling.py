"""The operating point of a stream on this machine: where the wish is too small, what the model was measured to need."""

from __future__ import annotations

from engine.errors import ConfigurationError, LatencyError
from engine.plan import WindowPlan
from engine.separator import Separator
from engine.spec import ModelSpec
from engine.worker_client import WorkerLike
from streamer.operating_point import Host, OperatingPoint, settle, smallest_latency_s
from streamer.pipeline import Pipeline

__all__ = ["check_latency", "check_plan", "settle_on_machine"]

_MAX_LATENCY_S = 600.0


def check_latency(latency_s: object) -> None:
    """Refuse what is no latency in seconds; None leaves the choice to the processor."""
    is_number = isinstance(latency_s, int | float) and not isinstance(latency_s, bool)
    if latency_s is not None and not (is_number and 0 < latency_s <= _MAX_LATENCY_S):  # type: ignore[operator]
        raise ConfigurationError(
            f"latency_s={latency_s!r} is not a latency: give seconds above 0 and up to {_MAX_LATENCY_S:g}, "
            "or leave it out"
        )


def check_plan(plan: WindowPlan | None, spec: ModelSpec) -> None:
    """Refuse a plan of another kind than the model's; None leaves the choice to the spec."""
    if plan is not None and plan.stateful != spec.stateful:
        kinds = ("windowed", "stateful")
        raise ConfigurationError(
            f"a {kinds[plan.stateful]} plan does not fit {spec.name!r}, which is {kinds[spec.stateful]}: leave plan out"
        )


def settle_on_machine(
    separator: Separator, host: Host, worker: WorkerLike, *, latency_s: float | None, plan: WindowPlan | None
) -> OperatingPoint:
    """Choose the operating point; a refusal names a latency that the model, once measured, can keep.

    Parameters are those of `streamer.operating_point.settle`; the worker runs the model where it has to be measured.

    Raises
    ------
    LatencyError
        If ``latency_s`` is too small.
    """
    try:
        return settle(separator.spec, host, latency_s=latency_s, plan=plan)
    except LatencyError as refusal:
        if not host.realtime:
            raise
        point = settle(separator.spec, host, latency_s=None, plan=plan)
        pipeline = Pipeline(separator, point, host, worker, mixture_consistent=True)
        run_s = pipeline.attach()
        pipeline.detach()
        if not run_s:
            raise
        smallest_s = smallest_latency_s(point, host, run_s)
        raise LatencyError(
            f"latency_s={latency_s:g} is too small: the smallest that works here is latency_s={smallest_s}; "
            "raise it or shorten the blocks",
            smallest_s=smallest_s,
        ) from refusal
