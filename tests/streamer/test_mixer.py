"""What is heard of the stems: sums to the bit, changes without clicks, and the same whatever the blocks."""

from __future__ import annotations

import math
import threading
import tracemalloc
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import streamer
from engine.errors import BlockError, ConfigurationError
from streamer.mixer import Mixer
from streamer.output_map import OutputMap

F32 = npt.NDArray[np.float32]
Change = Callable[[Mixer], None]

STEMS = ("vocals", "drums", "bass", "other")
RATE = 48_000
RAMP = 480
MAX_BLOCK = 2048


def make_mixer(stems: Iterable[str] = STEMS, channels: int = 2, outputs: OutputMap | None = None) -> Mixer:
    return Mixer(tuple(stems), channels=channels, sample_rate=RATE, max_block_frames=MAX_BLOCK, outputs=outputs)


def music(frames: int, channels: int = 2, stems: int = 4) -> F32:
    return np.random.default_rng(3).uniform(-0.9, 0.9, (stems, channels, frames)).astype(np.float32)


def mixed(mixer: Mixer, stems: F32, *cuts: int) -> F32:
    """Mix in blocks that end at the cuts and, between them, wherever they have to."""
    out = np.full((mixer.outputs.device_channels, stems.shape[-1]), 7.0, np.float32)
    for begin, end in zip((0, *cuts), (*cuts, stems.shape[-1]), strict=True):
        for n in range(begin, end, MAX_BLOCK):
            piece = slice(n, min(end, n + MAX_BLOCK))
            mixer.mix(stems[..., piece], out[:, piece])
    return out


def gain_of(mixer: Mixer, stem: str, frames: int) -> F32:
    """Give the gain of each of the next frames, heard by a stem that is 1 where the others are 0."""
    stems = np.zeros((len(mixer.stems), 2, frames), np.float32)
    stems[mixer.stems.index(stem)] = 1.0
    out = mixed(mixer, stems)
    np.testing.assert_array_equal(out[0], out[1])
    return out[0]


def plain_sum(stems: F32) -> F32:
    total = stems[0].copy()
    for stem in stems[1:]:
        total += stem
    return total


# What is heard


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("count", [1, 2, 4, 6])
def test_at_unity_the_mix_is_the_sum_in_order_to_the_bit(count: int, channels: int) -> None:
    stems = music(5000, channels, count)
    mixer = make_mixer([f"stem {n}" for n in range(count)], channels)
    np.testing.assert_array_equal(mixed(mixer, stems, 1, 600, 1333), plain_sum(stems))


def test_bypass_is_that_sum_whatever_is_set() -> None:
    mixer = make_mixer()
    mixer["vocals"].mute = True
    mixer["drums"].solo = True
    mixer["bass"].gain_db = -12.0
    mixer.bypass = True
    np.testing.assert_array_equal(mixed(mixer, music(3000)), plain_sum(music(3000)))


def test_controls_come_back_after_bypass() -> None:
    mixer = make_mixer()
    mixer["vocals"].mute = True
    mixer.bypass = True
    assert gain_of(mixer, "vocals", 100)[-1] == 1.0
    mixer.bypass = False
    assert mixer["vocals"].mute
    assert gain_of(mixer, "vocals", RAMP)[-1] == 0.0


def test_unity_is_exact_again_after_a_change() -> None:
    mixer, stems = make_mixer(), music(3000)
    mixed(mixer, stems[..., :100])
    mixer["drums"].gain_db = 5.5
    mixed(mixer, stems[..., 100:300])
    mixer["drums"].gain_db = 0
    mixed(mixer, stems[..., 300 : 300 + RAMP])
    np.testing.assert_array_equal(mixed(mixer, stems[..., 300 + RAMP :]), plain_sum(stems[..., 300 + RAMP :]))


@pytest.mark.parametrize(
    ("gain_db", "factor"),
    [(0, 1.0), (-6.0206, 0.5), (12, 3.981072), (-20, 0.1), (-150, 0.0), (-math.inf, 0.0), (np.float32(6), 1.995262)],
)
def test_a_gain_in_db_is_heard_as_its_factor(gain_db: float, factor: float) -> None:
    mixer = make_mixer()
    mixer["bass"].gain_db = gain_db
    assert mixer["bass"].gain_db == gain_db
    np.testing.assert_allclose(gain_of(mixer, "bass", 10), factor, rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("muted", "soloed", "heard"),
    [
        ((), (), STEMS),
        (("vocals",), (), ("drums", "bass", "other")),
        ((), ("vocals",), ("vocals",)),
        ((), ("vocals", "bass"), ("vocals", "bass")),
        (("drums",), ("vocals",), ("vocals",)),
        (("vocals",), ("vocals",), ()),
        (("vocals",), ("vocals", "bass"), ("bass",)),
        (STEMS, (), ()),
    ],
)
def test_solo_silences_the_others_and_mute_wins(
    muted: tuple[str, ...], soloed: tuple[str, ...], heard: tuple[str, ...]
) -> None:
    mixer = make_mixer()
    for stem in muted:
        mixer[stem].mute = True
    for stem in soloed:
        mixer[stem].solo = True
    assert tuple(stem for stem in STEMS if mixer.is_heard(stem)) == heard
    assert tuple(stem for stem in STEMS if gain_of(mixer, stem, 10).any()) == heard


def test_muted_stems_stay_in_step() -> None:
    mixer, stems = make_mixer(), music(4000)
    mixed(mixer, stems[..., :777])
    mixer["vocals"].mute = True
    mixed(mixer, stems[..., 777:2000])
    mixer["vocals"].mute = False
    mixed(mixer, stems[..., 2000 : 2000 + RAMP])
    np.testing.assert_array_equal(mixed(mixer, stems[..., 2000 + RAMP :]), plain_sum(stems[..., 2000 + RAMP :]))


def test_a_silent_mix_is_silence() -> None:
    mixer = make_mixer()
    for stem in mixer:
        mixer[stem].mute = True
    assert not mixed(mixer, music(1000)).any()


# Changes


def test_a_change_is_a_straight_line_of_ten_milliseconds() -> None:
    mixer = make_mixer()
    assert gain_of(mixer, "vocals", 100)[-1] == 1.0
    mixer["vocals"].mute = True
    heard = gain_of(mixer, "vocals", 2 * RAMP)
    np.testing.assert_allclose(heard[:RAMP], 1.0 - np.arange(1, RAMP + 1) / RAMP, atol=1e-6)
    assert not heard[RAMP - 1 :].any()


@pytest.mark.parametrize(("rate", "ramp_s", "frames"), [(44_100, 0.01, 441), (8000, 0.01, 80), (48_000, 0.1, 4800)])
def test_its_duration_may_be_set(rate: int, ramp_s: float, frames: int) -> None:
    mixer = Mixer(STEMS, channels=2, sample_rate=rate, max_block_frames=MAX_BLOCK, ramp_s=ramp_s)
    gain_of(mixer, "bass", 1)
    mixer["bass"].mute = True
    assert np.count_nonzero(gain_of(mixer, "bass", 6000)) == frames - 1


def test_the_first_block_has_its_gains_at_once() -> None:
    mixer = make_mixer()
    mixer["vocals"].mute = True
    assert not gain_of(mixer, "vocals", 100).any()


def test_a_reset_stream_has_its_gains_at_once() -> None:
    mixer = make_mixer()
    gain_of(mixer, "vocals", 100)
    mixer["vocals"].mute = True
    mixer.reset()
    assert not mixer.is_heard("vocals")
    assert not gain_of(mixer, "vocals", 100).any()
    assert mixer.levels().frames == 100


@pytest.mark.parametrize("begun", [1, 100, RAMP - 1, RAMP, RAMP + 1])
def test_a_change_on_the_way_goes_on_from_there(begun: int) -> None:
    mixer = make_mixer()
    gain_of(mixer, "vocals", 10)
    mixer["vocals"].mute = True
    before = gain_of(mixer, "vocals", begun)
    mixer["vocals"].mute = False
    after = gain_of(mixer, "vocals", 2 * RAMP)
    steps = np.diff(np.concatenate([before, after]))
    assert np.abs(steps).max() < 1.01 / RAMP
    np.testing.assert_allclose(after[:RAMP], np.linspace(before[-1], 1.0, RAMP + 1)[1:], atol=1e-6)
    assert (after[RAMP:] == 1.0).all()


def test_setting_what_is_set_changes_nothing() -> None:
    mixer = make_mixer()
    gain_of(mixer, "vocals", 10)
    mixer["vocals"].mute = True
    first = gain_of(mixer, "vocals", 100)
    mixer["vocals"].mute = True
    mixer["vocals"].gain_db = -3.0
    rest = gain_of(mixer, "vocals", RAMP)
    np.testing.assert_allclose(np.concatenate([first, rest])[:RAMP], 1 - np.arange(1, RAMP + 1) / RAMP, atol=1e-6)


def stem_change(stem: str, name: str, value: object) -> Change:
    return lambda mixer: setattr(mixer[stem], name, value)


changes = st.one_of(
    st.builds(stem_change, st.sampled_from(STEMS), st.sampled_from(("mute", "solo")), st.booleans()),
    st.builds(stem_change, st.sampled_from(STEMS), st.just("gain_db"), st.sampled_from((-math.inf, -6.0, 0.0, 3.0))),
    st.builds(lambda value: lambda mixer: setattr(mixer, "bypass", value), st.booleans()),
)
lengths = st.sampled_from((1, 2, 13, 250, 479, 480, 481, 500, 501, 512, 1000, 1500))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(changes, lengths, st.lists(st.integers(1, 1499), max_size=4)), min_size=1, max_size=6))
def test_what_is_heard_does_not_depend_on_the_blocks(steps: list[tuple[Change, int, list[int]]]) -> None:
    whole, cut = make_mixer(), make_mixer()
    for change, frames, cuts in steps:
        change(whole)
        change(cut)
        stems = music(frames)
        expected = mixed(whole, stems)
        np.testing.assert_array_equal(mixed(cut, stems, *sorted(each for each in cuts if each < frames)), expected)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(changes, lengths), min_size=1, max_size=8))
def test_no_change_makes_a_step(steps: list[tuple[Change, int]]) -> None:
    mixer = make_mixer()
    heard = [gain_of(mixer, "bass", 1)]
    for change, frames in steps:
        change(mixer)
        heard.append(gain_of(mixer, "bass", frames))
    assert np.abs(np.diff(np.concatenate(heard))).max(initial=0.0) <= 10 ** (3 / 20) / RAMP * 1.001


# Whether a stem is heard


def test_a_stem_is_heard_until_it_has_faded() -> None:
    mixer = make_mixer()
    gain_of(mixer, "vocals", 10)
    mixer["vocals"].mute = True
    gain_of(mixer, "vocals", RAMP - 1)
    assert mixer.is_heard("vocals")
    gain_of(mixer, "vocals", 1)
    assert not mixer.is_heard("vocals")


def test_a_stem_is_turned_off_while_it_still_fades() -> None:
    mixer = make_mixer()
    gain_of(mixer, "vocals", 10)
    mixer["vocals"].mute = True
    assert mixer.is_heard("vocals")
    assert mixer.is_turned_off("vocals")
    assert not mixer.is_turned_off("drums")
    mixer["drums"].solo = True
    assert [stem for stem in STEMS if not mixer.is_turned_off(stem)] == ["drums"]
    mixer.bypass = True
    assert not any(mixer.is_turned_off(stem) for stem in STEMS)


def test_once_settled_a_change_begins_without_a_fade() -> None:
    mixer = make_mixer()
    gain_of(mixer, "vocals", 10)
    mixer["vocals"].mute = True
    mixer.settle()
    assert not mixer.is_heard("vocals")
    assert not gain_of(mixer, "vocals", 10).any()


def test_a_stem_is_heard_as_soon_as_it_is_wanted() -> None:
    mixer = make_mixer()
    mixer["vocals"].mute = True
    gain_of(mixer, "vocals", 10)
    mixer["vocals"].mute = False
    assert mixer.is_heard("vocals")


def test_in_bypass_every_stem_is_heard() -> None:
    mixer = make_mixer()
    mixer["vocals"].mute = True
    mixer.bypass = True
    assert mixer.is_heard("VOCALS")


def test_without_the_mix_only_stems_with_channels_of_their_own_are_heard() -> None:
    mixer = make_mixer(outputs=OutputMap(2, stems={"drums": (1, 2)}))
    assert [mixer.is_heard(stem) for stem in STEMS] == [False, True, False, False]


# Where it comes out


def test_each_stem_comes_out_where_it_was_given_to_and_the_rest_is_silent() -> None:
    outputs = OutputMap(7, mix=(7, 2), stems={"vocals": (1, 3), "drums": (6,)})
    mixer, stems = make_mixer(outputs=outputs), music(3000)
    out = mixed(mixer, stems)
    total = plain_sum(stems)
    np.testing.assert_array_equal(out[[6, 1]], total)
    np.testing.assert_array_equal(out[[0, 2]], stems[0])
    np.testing.assert_array_equal(out[5], (stems[1, 0] + stems[1, 1]) * np.float32(0.5))
    assert not out[[3, 4]].any()


def test_stems_come_out_with_their_gain_and_not_when_muted() -> None:
    mixer = make_mixer(outputs=OutputMap(4, stems={"vocals": (1, 2), "drums": (3, 4)}))
    mixer["vocals"].gain_db = -6.0206
    mixer["drums"].mute = True
    out = mixed(mixer, np.ones((4, 2, 100), np.float32))
    np.testing.assert_allclose(out[:2], 0.5, rtol=1e-5)
    assert not out[2:].any()


def test_bypass_holds_for_stem_outputs_too() -> None:
    mixer, stems = make_mixer(outputs=OutputMap(2, stems={"drums": (1, 2)})), music(100)
    mixer["drums"].mute = True
    mixer.bypass = True
    np.testing.assert_array_equal(mixed(mixer, stems), stems[1])


def test_mono_comes_out_of_both_channels_and_stereo_of_one_as_the_average() -> None:
    mono, stereo = music(100, channels=1), music(100)
    both = mixed(make_mixer(channels=1, outputs=OutputMap(2, (1, 2))), mono)
    np.testing.assert_array_equal(both, np.tile(plain_sum(mono), (2, 1)))
    total = plain_sum(stereo)
    one = mixed(make_mixer(outputs=OutputMap(1, (1,))), stereo)
    np.testing.assert_array_equal(one[0], (total[0] + total[1]) * np.float32(0.5))


def test_outputs_for_a_stem_that_is_not_there_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="stem 'piano' is unknown"):
        make_mixer(outputs=OutputMap(2, stems={"piano": (1, 2)}))


# Meters


def test_meters_show_peak_and_rms_of_each_stem_before_its_gain() -> None:
    mixer, stems = make_mixer(), music(3000)
    mixer["vocals"].mute = True
    mixed(mixer, stems, 700)
    levels = mixer.levels()
    assert levels.frames == 3000
    for stem, sound in zip(STEMS, stems, strict=True):
        assert levels.stems[stem].peak == pytest.approx(np.abs(sound).max())
        assert levels.stems[stem].rms == pytest.approx(np.sqrt(np.mean(sound.astype(np.float64) ** 2)))


def test_a_reading_begins_the_next_one() -> None:
    mixer = make_mixer()
    mixed(mixer, music(1000))
    mixer.levels()
    mixed(mixer, np.full((4, 2, 50), 0.125, np.float32))
    levels = mixer.levels()
    assert (levels.frames, levels.output_peak) == (50, 0.5)
    assert levels.stems["drums"].peak == levels.stems["drums"].rms == 0.125
    empty = mixer.levels()
    assert (empty.frames, empty.stems["drums"].peak, empty.stems["drums"].rms) == (0, 0.0, 0.0)


def test_a_reading_may_leave_the_meters_as_they_are() -> None:
    mixer = make_mixer()
    mixed(mixer, music(1000))
    assert mixer.levels(restart=False) == mixer.levels(restart=False) == mixer.levels()


def test_what_goes_beyond_full_scale_is_counted_and_passed_on() -> None:
    mixer = make_mixer(("a",), outputs=OutputMap(3, (1, 2)))
    stems = np.zeros((1, 2, 1200), np.float32)
    stems[0, 0, [0, 499, 500, 1199]] = [1.5, -1.25, 1.0, -1.0]
    stems[0, 1, 700:703] = 2.0
    out = mixed(mixer, stems)
    np.testing.assert_array_equal(out[:2], stems[0])
    levels = mixer.levels()
    assert (levels.clipped_samples, levels.output_peak) == (5, 2.0)
    mixed(mixer, stems[..., :1])
    assert mixer.levels().clipped_samples == 6


def test_levels_cannot_be_changed() -> None:
    levels = make_mixer().levels()
    with pytest.raises(AttributeError):
        levels.frames = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        levels.stems["vocals"] = None  # type: ignore[index]


def test_no_block_is_missing_or_counted_twice_while_another_thread_reads() -> None:
    mixer, stems, is_over = make_mixer(("a",), 1), np.full((1, 1, 16), 0.5, np.float32), threading.Event()
    frames = [0]

    def read() -> None:
        while not is_over.is_set():
            frames[0] += mixer.levels().frames

    readers = [threading.Thread(target=read)]
    readers[0].start()
    out = np.zeros((1, 16), np.float32)
    for _ in range(3000):
        mixer.mix(stems, out)
    is_over.set()
    readers[0].join()
    mixer.mix(stems, out)
    assert frames[0] + mixer.levels().frames == 3001 * 16


# Threads and memory


def test_controls_set_by_other_threads_never_give_a_step_or_an_error() -> None:
    mixer, is_over = make_mixer(), threading.Event()

    def play_with_controls() -> None:
        rng = np.random.default_rng(0)
        while not is_over.is_set():
            strip = mixer[STEMS[rng.integers(4)]]
            strip.mute, strip.solo, strip.gain_db = bool(rng.integers(2)), bool(rng.integers(2)), -6.0
            mixer.bypass = bool(rng.integers(2))

    players = [threading.Thread(target=play_with_controls) for _ in range(2)]
    for player in players:
        player.start()
    heard = [gain_of(mixer, "drums", 64) for _ in range(400)]
    is_over.set()
    for player in players:
        player.join()
    assert np.abs(np.diff(np.concatenate(heard))).max() <= 1.001 / RAMP


@pytest.mark.parametrize("frames", [2048, 40_000])
@pytest.mark.parametrize("outputs", [None, OutputMap(6, (1, 2), {"vocals": (3,), "drums": (5, 6)})])
def test_a_block_allocates_no_array(frames: int, outputs: OutputMap | None) -> None:
    mixer = Mixer(STEMS, channels=2, sample_rate=RATE, max_block_frames=frames, outputs=outputs)
    stems, out = 4 * music(frames), np.zeros((mixer.outputs.device_channels, frames), np.float32)
    tracemalloc.start()
    try:
        for number in range(12):
            mixer["vocals"].mute = number % 3 == 0
            mixer["bass"].gain_db = -float(number % 4)
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            mixer.mix(stems, out)
            peak = tracemalloc.get_traced_memory()[1]
            # A row of the shorter block would be 8 KiB, one of its flags 2.
            assert number < 3 or peak - before < 6 << 10
    finally:
        tracemalloc.stop()


# Refusals


def test_an_unknown_stem_is_named_with_those_there_are_and_a_close_one() -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_mixer()["vocal"]
    assert str(caught.value) == (
        "stem 'vocal' is unknown: the stems are vocals, drums, bass, other; did you mean 'vocals'?"
    )
    with pytest.raises(ConfigurationError, match=r"'qqq' is unknown: the stems are vocals, drums, bass, other$"):
        make_mixer().is_heard("qqq")


@pytest.mark.parametrize("value", [12.01, math.inf, math.nan, "loud", None, True])
def test_a_gain_out_of_range_is_refused_and_the_old_one_kept(value: object) -> None:
    mixer = make_mixer()
    mixer["bass"].gain_db = -3.0
    with pytest.raises(ConfigurationError, match=r"gain_db of bass is .*: numbers from -inf to \+12 are allowed"):
        mixer["bass"].gain_db = value  # type: ignore[assignment]
    assert mixer["bass"].gain_db == -3.0


@pytest.mark.parametrize("name", ["mute", "solo"])
def test_a_switch_is_true_or_false(name: str) -> None:
    mixer = make_mixer()
    with pytest.raises(ConfigurationError, match=f"{name} of bass is 'no': True and False are allowed"):
        setattr(mixer["bass"], name, "no")
    with pytest.raises(ConfigurationError, match="bypass is 1"):
        mixer.bypass = 1  # type: ignore[assignment]


def test_a_control_that_does_not_exist_is_refused() -> None:
    with pytest.raises(AttributeError):
        make_mixer()["bass"].muted = True  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"stems": ()}, "one name or more"),
        ({"stems": "vocals"}, "give a sequence"),
        ({"stems": ("a", "A")}, "each once"),
        ({"channels": 3}, "channels is 3: allowed are 1 and 2"),
        ({"sample_rate": 0}, "sample_rate is 0"),
        ({"max_block_frames": 0}, "max_block_frames is 0"),
        ({"ramp_s": 0.0}, "ramp_s is 0.0"),
        ({"ramp_s": math.nan}, "ramp_s is nan"),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, object], said: str) -> None:
    allowed: dict[str, object] = {"stems": STEMS, "channels": 2, "sample_rate": RATE, "max_block_frames": 512}
    with pytest.raises(ConfigurationError, match=said):
        Mixer(**(allowed | setting))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stems", "out", "said"),
    [
        (np.zeros((3, 2, 10), np.float32), np.zeros((2, 10), np.float32), "stems is float32 of shape"),
        (np.zeros((4, 1, 10), np.float32), np.zeros((2, 10), np.float32), r"\(4, 2, frames\)"),
        (np.zeros((4, 2, 10)), np.zeros((2, 10), np.float32), "stems is float64"),
        (np.zeros((4, 2, 10), np.float32), np.zeros((3, 10), np.float32), "out is float32 of shape"),
        (np.zeros((4, 2, 10), np.float32), np.zeros((2, 11), np.float32), "as many frames"),
        (np.zeros((4, 2, 3000), np.float32), np.zeros((2, 3000), np.float32), "3000 frames was given: at most 2048"),
    ],
)
def test_blocks_that_do_not_fit_are_refused(stems: F32, out: F32, said: str) -> None:
    with pytest.raises(BlockError, match=said):
        make_mixer().mix(stems, out)


def test_an_empty_block_is_nothing() -> None:
    mixer = make_mixer()
    mixer.mix(np.zeros((4, 2, 0), np.float32), np.zeros((2, 0), np.float32))
    assert mixer.levels().frames == 0


def test_the_mixer_is_listed_by_its_stems_and_is_a_public_name() -> None:
    mixer = streamer.Mixer(STEMS, channels=2, sample_rate=RATE, max_block_frames=64)
    assert (tuple(mixer), len(mixer), mixer.stems) == (STEMS, 4, STEMS)
