"""The command line's form of an output map, and what cannot be one."""

from __future__ import annotations

import pytest

from engine.errors import ConfigurationError
from streamer.output_map import OutputMap

STEMS = ("vocals", "drums", "bass", "other")


def parse(text: str, device_channels: int = 8) -> OutputMap:
    return OutputMap.parse(text, stems=STEMS, device_channels=device_channels)


@pytest.mark.parametrize(
    ("text", "mix", "stems"),
    [
        ("vocals=1,2 drums=3,4", (), {"vocals": (1, 2), "drums": (3, 4)}),
        ("vocals=3", (), {"vocals": (3,)}),
        ("mix=1,2 other=8,7", (1, 2), {"other": (8, 7)}),
        ("MIX=5  Bass=6", (5,), {"bass": (6,)}),
        ("mix=1", (1,), {}),
    ],
)
def test_the_form_of_the_command_line_is_read(text: str, mix: tuple[int, ...], stems: dict[str, object]) -> None:
    for given in (text, text.split(), [text]):
        outputs = OutputMap.parse(given, stems=STEMS, device_channels=8)
        assert (outputs.device_channels, outputs.mix, outputs.stems) == (8, mix, stems)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("vocal=1,2", "stem 'vocal' is unknown: the stems are vocals, drums, bass, other; did you mean 'vocals'?"),
        ("vocals=0,1", "vocals was given output channel 0: on this device 1 to 4 are there"),
        ("vocals=4,5", "vocals was given output channel 5: on this device 1 to 4 are there"),
        ("vocals=1,2 drums=2,3", "output channel 2 is used twice, by vocals and drums: give each channel once"),
        ("vocals=1,2 mix=2", "output channel 2 is used twice, by mix and vocals: give each channel once"),
        ("vocals=3,3", "output channel 3 is used twice, by vocals and vocals: give each channel once"),
        ("vocals=1 vocals=2", "vocals was given output channels twice: give them once"),
        ("vocals=1 Vocals=2", "vocals was given output channels twice: give them once"),
        ("vocals=1,2,3", "vocals has 3 output channels: give it one, or two for left and right"),
        ("vocals", "output 'vocals' is not NAME=CHANNELS: write for instance"),
        ("=1,2", "output '=1,2' is not NAME=CHANNELS"),
        ("vocals=", "output 'vocals=' has '' for a channel: use numbers from 1"),
        ("vocals=1,", "output 'vocals=1,' has '' for a channel"),
        ("vocals=1-2", "output 'vocals=1-2' has '1-2' for a channel"),
        ("vocals=-1", "has '-1' for a channel"),
        ("vocals=²", "has '²' for a channel"),
        ("vocals=" + "9" * 5000, "vocals was given output channel 999999999: on this device 1 to 4 are there"),
        ("", "no output was given: name at least one"),
    ],
)
def test_what_is_wrong_is_told_with_its_remedy(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(text, 4)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_device_of_one_channel_says_so() -> None:
    with pytest.raises(ConfigurationError, match="output channel 2: on this device 1 is the only one"):
        parse("mix=1,2", 1)


def test_a_map_without_outputs_or_without_a_device_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no output was given"):
        OutputMap(2)
    with pytest.raises(ConfigurationError, match="drums has 0 output channels"):
        OutputMap(2, stems={"drums": ()})
    with pytest.raises(ConfigurationError, match="device_channels is 0"):
        OutputMap(0, (1,))
    with pytest.raises(ConfigurationError, match="a stem is called 'mix'"):
        OutputMap(2, stems={"mix": (1,)})


@pytest.mark.parametrize(("channels", "mix"), [(1, (1,)), (2, (1, 2)), (6, (1, 2))])
def test_the_mix_alone_comes_out_of_the_first_channels(channels: int, mix: tuple[int, ...]) -> None:
    assert OutputMap.of_mix(channels) == OutputMap(channels, mix)


def test_a_map_does_not_change_with_what_it_was_made_of() -> None:
    given = {"vocals": (1, 2)}
    outputs = OutputMap(2, stems=given)
    given["drums"] = (1, 2)
    assert outputs.stems == {"vocals": (1, 2)}
