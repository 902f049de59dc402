"""Window plans of every valid shape, for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from engine.plan import WindowPlan

__all__ = ["live_plans", "plans", "stateful_plans", "windowed_plans"]


@st.composite
def windowed_plans(draw: st.DrawFn, max_window_frames: int = 64) -> WindowPlan:
    window = draw(st.integers(1, max_window_frames))
    delivery = draw(st.integers(1, window))
    lookahead = draw(st.integers(0, window - delivery))
    fade = draw(st.integers(0, min(delivery // 2, delivery - 1)))
    hop = draw(st.integers(1, delivery - fade))
    return WindowPlan(window, hop, lookahead, fade, delivery)


@st.composite
def live_plans(draw: st.DrawFn, max_hop_frames: int = 32) -> WindowPlan:
    hop = draw(st.integers(1, max_hop_frames))
    fade = draw(st.integers(0, hop))
    lookahead = draw(st.integers(0, 4 * max_hop_frames))
    context = draw(st.integers(0, 4 * max_hop_frames))
    return WindowPlan(context + hop + fade + lookahead, hop, lookahead, fade, hop + fade)


@st.composite
def stateful_plans(draw: st.DrawFn) -> WindowPlan:
    hop = draw(st.integers(1, 32))
    return WindowPlan(hop, hop, draw(st.integers(0, 80)), 0, hop, stateful=True)


def plans() -> st.SearchStrategy[WindowPlan]:
    return windowed_plans() | stateful_plans()
