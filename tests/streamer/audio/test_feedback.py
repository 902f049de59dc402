"""Which inputs and outputs go together: what is heard must not be what is played."""

from __future__ import annotations

import pytest

from engine.errors import DeviceError
from streamer.audio.device import Device
from streamer.audio.feedback import check_feedback, feedback_risk


def mic(name: str, host: str = "ALSA", *, is_default: bool = False) -> Device:
    return Device(0, name, host, 2, 0, 48_000, is_default_input=is_default)


def out(name: str, host: str = "ALSA", *, is_default: bool = False) -> Device:
    return Device(1, name, host, 0, 2, 48_000, is_default_output=is_default)


def monitor(sink: str, key: str, *, is_default: bool = False) -> Device:
    return Device(
        2,
        f"Monitor of {sink}",
        "PulseAudio",
        2,
        0,
        48_000,
        backend="soundcard",
        key=key,
        sink=sink,
        is_default_loopback=is_default,
    )


def loopback(sink: str, *, is_default: bool = False) -> Device:
    name = f"{sink} [Loopback]"
    return Device(
        2,
        name,
        "Windows WASAPI",
        2,
        0,
        48_000,
        backend="wasapi",
        key=name,
        sink=sink,
        is_default_loopback=is_default,
    )


def tap(sink: str = "", *, skips: bool = False) -> Device:
    return Device(
        2,
        "System audio",
        "Core Audio",
        2,
        0,
        48_000,
        backend="catap",
        key=sink,
        sink=sink,
        is_default_loopback=not sink,
        skips_own_sound=skips,
    )


SPEAKERS = monitor("Built-in Audio", "alsa_output.pci.analog.monitor", is_default=True)
REALTEK = loopback("Speakers (Realtek High Definition Audio)", is_default=True)


@pytest.mark.parametrize(
    ("heard", "played"),
    [
        (SPEAKERS, out("Built-in Audio", "PulseAudio")),
        (SPEAKERS, out("alsa_output.pci.analog", "PulseAudio")),
        (SPEAKERS, out("default")),
        (SPEAKERS, out("pulse")),
        (SPEAKERS, out("pipewire")),
        (SPEAKERS, out("anything", is_default=True)),
        (REALTEK, out("Speakers (Realtek High Definiti", "MME")),
        (REALTEK, out("Speakers (Realtek High Definition Audio)", "Windows WASAPI")),
        (REALTEK, out("Microsoft Sound Mapper - Output", "MME")),
        (REALTEK, out("Primary Sound Driver", "Windows DirectSound")),
        (tap(), out("Headphones")),
        (tap("MacBook Pro Speakers"), out("MacBook Pro Speakers", "Core Audio")),
        (mic("va_out_monitor"), out("va_out")),
        (mic("Monitor of Headphones", "PulseAudio"), out("Headphones", "PulseAudio")),
    ],
)
def test_a_loopback_with_the_output_that_it_hears_is_a_loop(heard: Device, played: Device) -> None:
    assert "so the output goes back into the input" in feedback_risk(heard, played)


@pytest.mark.parametrize(
    ("heard", "played"),
    [
        (SPEAKERS, out("Headphones", "PulseAudio")),
        (SPEAKERS, out("USB Interface (hw:1,0)")),
        (monitor("HDMI", "hdmi.monitor"), out("default", is_default=True)),
        (REALTEK, out("Speakers (USB Audio)", "MME")),
        (loopback("Headset"), out("Microsoft Sound Mapper - Output", "MME")),
        (tap(skips=True), out("MacBook Pro Speakers", is_default=True)),
        (tap("MacBook Pro Speakers", skips=True), out("MacBook Pro Speakers", is_default=True)),
        (tap("HDMI"), out("MacBook Pro Speakers", is_default=True)),
        (mic("va_out_monitor"), out("va_loop")),
    ],
)
def test_a_loopback_with_another_output_is_none(heard: Device, played: Device) -> None:
    assert feedback_risk(heard, played) == ""


@pytest.mark.parametrize(
    "heard",
    [
        mic("MacBook Pro Microphone", "Core Audio"),
        mic("Built-in Mic (hw:0,0)"),
        mic("Microphone (USB Camera)", "MME"),
        mic("HDA Intel PCH: ALC257 Analog (hw:0,0)"),
        mic("default"),
        mic("pulse"),
        mic("whatever", is_default=True),
        mic("Microphone Array (Realtek(R) Audio)"),
    ],
)
@pytest.mark.parametrize(
    "played",
    [
        out("MacBook Pro Speakers", "Core Audio"),
        out("Speakers (hw:0,1)"),
        out("HDA Intel PCH: ALC257 Analog (hw:0,0)"),
        out("HDA Intel PCH: HDMI 0 (hw:0,3)"),
        out("default"),
        out("whatever", is_default=True),
        out("Speakers/Headphones (Realtek(R) Audio)"),
        out("USB Speakers"),
        out("LG Display"),
    ],
)
def test_a_microphone_with_loudspeakers_may_howl(heard: Device, played: Device) -> None:
    assert "may howl" in feedback_risk(heard, played)


@pytest.mark.parametrize(
    "played",
    [
        out("External Headphones", is_default=True),
        out("Headset Earphone (Jabra)", is_default=True),
        out("AirPods Pro", is_default=True),
        out("Galaxy Buds2", is_default=True),
        out("Scarlett 2i2 USB: Audio (hw:1,0)", is_default=True),
        out("HDA Intel PCH: ALC257 Digital (hw:0,1)"),
        out("Line Out"),
        out("S/PDIF"),
        out("BlackHole 2ch", is_default=True),
        out("CABLE Input (VB-Audio Virtual Cable)", is_default=True),
        out("Null Output", is_default=True),
        out("system", "JACK Audio Connection Kit", is_default=True),
        out("va_loop"),
    ],
)
def test_a_microphone_with_what_is_no_loudspeaker_goes(played: Device) -> None:
    assert feedback_risk(mic("Built-in Microphone", is_default=True), played) == ""


@pytest.mark.parametrize(
    "heard",
    [
        mic("Headset Microphone (Jabra)", is_default=True),
        mic("Line In", is_default=True),
        mic("Scarlett 2i2 USB: Audio (hw:1,0)", is_default=True),
        mic("CABLE Output (VB-Audio Virtual Cable)", is_default=True),
        mic("system", "JACK Audio Connection Kit", is_default=True),
        mic("loopback", "JACK Audio Connection Kit"),
        mic("va_loop"),
    ],
)
def test_what_is_no_microphone_of_the_room_goes_with_loudspeakers(heard: Device) -> None:
    assert feedback_risk(heard, out("Built-in Speakers", is_default=True)) == ""


@pytest.mark.parametrize(
    ("heard", "words"),
    [
        (SPEAKERS, "choose another output, or allow it with --allow-feedback (allow_feedback=True) where"),
        (
            mic("Built-in Mic"),
            "choose another output, or allow it with --allow-feedback (allow_feedback=True) with head",
        ),
    ],
)
def test_a_risk_is_refused_with_what_helps_unless_it_is_allowed(heard: Device, words: str) -> None:
    played = out("default", is_default=True)
    with pytest.raises(DeviceError) as caught:
        check_feedback(heard, played, allowed=False)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3
    check_feedback(heard, played, allowed=True)


def test_without_a_risk_nothing_is_said() -> None:
    check_feedback(mic("Line In"), out("Headphones"), allowed=False)
