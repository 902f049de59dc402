"""``stemstream models list``: what is installed, whether it loads or not."""

from __future__ import annotations

import json

import pytest

from engine import registry
from engine.registry import ModelEntry
from tests.streamer.cli.conftest import Command


def test_the_embedded_model_is_listed_with_its_latency(command: Command) -> None:
    (entry,) = (e for e in json.loads(command("models", "list", "--json").out)["models"] if e["name"] == "spatial")
    assert entry["stems"] == ["vocals", "drums", "bass", "other"]
    assert (entry["sample_rate"], entry["hop_frames"], entry["stateful"]) == (44_100, 512, True)
    parts = entry["latency"]["parts_frames"]
    assert (parts["delivery"], parts["lookahead"], parts["compute"]) == (512, 1536, 512)
    assert sum(parts.values()) == entry["latency"]["total_frames"]
    text = command("models", "list").out
    assert "vocals, drums, bass, other" in text
    assert f"{entry['latency']['total_ms']:.1f} ms" in text


def test_a_model_that_does_not_load_does_not_break_the_list(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = ModelEntry("broken", "some-package", "1.2")
    real = registry.available_models()
    monkeypatch.setattr(registry, "available_models", lambda: (broken, *real))
    ended = command("models", "list")
    assert ended.code == 0
    first, second = ended.out.splitlines()[:2]
    assert first == "broken  (some-package 1.2)"
    assert second.startswith("  error    model 'broken' is not known")
    assert "vocals, drums, bass, other" in ended.out
    entries = json.loads(command("models", "list", "--json").out)["models"]
    assert "error" in entries[0]
    assert "error" not in entries[-1]


def test_an_empty_list_says_why(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "available_models", lambda: ())
    assert "no models are registered" in command("models", "list").out
