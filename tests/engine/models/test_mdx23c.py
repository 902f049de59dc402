"""The MDX23C network gives what the widespread reference gives, and its norms and activations are what they say."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from engine.models.mdx23c import Mdx23c, SpectrumTransform
from engine.models.mdx23c_layout import Architecture, tensor_shapes
from engine.registry import load_separator
from tests.engine.mdx23c_models import (
    GOLDEN_NAMES,
    STRIDE,
    TINY,
    WINDOW,
    Golden,
    GoldenNetwork,
    Tensors,
    random_tensors,
    tiny,
)

NORMS = ["InstanceNorm", "BatchNorm", "GroupNorm1", "GroupNorm2", ""]
COLUMNS = WINDOW // TINY.hop_frames + 1


@pytest.fixture(autouse=True)
def quiet_torch() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield
    torch.set_num_threads(before)


def network(architecture: Architecture, tensors: Tensors | None = None) -> Mdx23c:
    made = Mdx23c(architecture).eval()
    made.load_state_dict(random_tensors(architecture) if tensors is None else tensors)
    return made


def spectra(architecture: Architecture, batch: int = 1, seed: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((batch, 2 * architecture.channels, architecture.bins, COLUMNS), generator=generator)


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_a_window_comes_out_as_from_the_reference(name: str) -> None:
    golden = Golden(name)
    window, expected = golden.chunk
    spec = load_separator(golden.checkpoint, config=golden.config).spec
    stems, _ = GoldenNetwork(golden, spec, torch.float64).process(window[None], ())
    assert stems.shape == (1, *expected.shape[:2], window.shape[1])
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(stems[0, ..., ::STRIDE], expected, rtol=0, atol=1e-5)
    in_single, _ = GoldenNetwork(golden, spec, torch.float32).process(window[None], ())
    rounding = np.abs(in_single - stems).max()
    assert rounding < 1e-3 * np.abs(stems).max()


class TestNetwork:
    @pytest.mark.parametrize("norm", NORMS)
    @pytest.mark.parametrize("channels", [1, 2])
    def test_its_tensors_are_those_of_the_files(self, norm: str, channels: int) -> None:
        architecture = tiny(norm=norm, channels=channels, outputs=3, blocks=1)
        shapes = {name: tuple(tensor.shape) for name, tensor in Mdx23c(architecture).state_dict().items()}
        assert shapes == tensor_shapes(architecture)

    @pytest.mark.parametrize("act", ["gelu", "relu", "elu0.5"])
    @pytest.mark.parametrize("norm", NORMS)
    def test_silence_is_silence_to_the_last_bit(self, norm: str, act: str) -> None:
        architecture = tiny(norm=norm, act=act)
        spectrum = spectra(architecture)
        spectrum[..., 4:7] = 0.0
        stems = network(architecture)(spectrum)
        assert stems.shape == (1, 2, 4, 16, COLUMNS)
        assert not stems[..., 4:7].any()
        assert stems[..., :4].abs().max() > 0.01
        assert not network(architecture)(torch.zeros_like(spectrum)).any()

    @pytest.mark.parametrize("norm", NORMS)
    def test_rows_of_a_batch_do_not_hear_each_other(self, norm: str) -> None:
        architecture = tiny(norm=norm)
        spectrum, made = spectra(architecture, 3), network(architecture)
        alone = torch.cat([made(row[None]) for row in spectrum])
        torch.testing.assert_close(made(spectrum), alone, rtol=0, atol=1e-5)

    def test_each_norm_and_activation_makes_a_network_of_its_own(self) -> None:
        stems = {}
        for norm in ("InstanceNorm", "GroupNorm1", "GroupNorm2", "GroupNorm4"):
            for act in ("gelu", "relu", "elu0.5", "elu1.0"):
                architecture = tiny(norm=norm, act=act, growth=4)
                stems[norm, act] = network(architecture, random_tensors(tiny(growth=4)))(spectra(architecture))
        names = list(stems)
        for n, one in enumerate(names):
            for other in names[n + 1 :]:
                assert (stems[one] - stems[other]).abs().max() > 1e-4, (one, other)

    def test_an_instance_norm_is_a_group_norm_of_single_channels(self) -> None:
        even = tiny(growth=0, blocks=1)
        # Where a decoder joins two maps it has twice the channels, so only what is below them can be compared.
        one = network(even).encoder_blocks[0].tfc_tdf
        tensors = random_tensors(even)
        other = network(tiny(growth=0, blocks=1, norm="GroupNorm4"), tensors).encoder_blocks[0].tfc_tdf
        maps = torch.randn((2, 4, 16, 8), generator=torch.Generator().manual_seed(1))
        torch.testing.assert_close(one(maps), other(maps))

    def test_a_batch_norm_uses_its_running_statistics(self) -> None:
        architecture = tiny(norm="BatchNorm")
        tensors, spectrum = random_tensors(architecture), spectra(architecture)
        before = network(architecture, tensors)(spectrum)
        name = "encoder_blocks.0.tfc_tdf.blocks.0.tfc1.0.running_mean"
        after = network(architecture, {**tensors, name: tensors[name] + 1})(spectrum)
        assert (before - after).abs().max() > 1e-3
        louder = network(architecture, tensors)(torch.cat((spectrum, 100 * spectrum)))
        torch.testing.assert_close(louder[:1], before, rtol=0, atol=1e-5)

    def test_bands_are_neighbouring_bins(self) -> None:
        architecture = tiny(outputs=1)
        heard: list[torch.Tensor] = []
        made = network(architecture)
        made.first_conv.register_forward_pre_hook(lambda _, given: heard.append(given[0]))
        spectrum = spectra(architecture)
        made(spectrum)
        (folded,) = heard
        assert folded.shape == (1, 8, 8, COLUMNS)
        for part in range(4):
            for band in range(2):
                bins = slice(8 * band, 8 * band + 8)
                assert torch.equal(folded[0, 2 * part + band], spectrum[0, part, bins])


class TestTransform:
    @pytest.mark.parametrize(("n_fft", "hop"), [(32, 8), (32, 16), (48, 6)])
    @pytest.mark.parametrize("channels", [1, 2])
    def test_there_and_back_again_is_the_same(self, n_fft: int, hop: int, channels: int) -> None:
        transform = SpectrumTransform(n_fft, hop, n_fft // 2 + 1)
        audio = torch.rand((3, channels, 12 * hop), generator=torch.Generator().manual_seed(1)) - 0.5
        spectrum = transform.forward(audio)
        assert spectrum.shape == (3, 2 * channels, n_fft // 2 + 1, 13)
        torch.testing.assert_close(transform.inverse(spectrum[:, None])[:, 0], audio, rtol=0, atol=1e-6)

    def test_the_parts_of_one_channel_follow_those_of_the_other(self) -> None:
        audio = torch.rand((1, 2, 160), generator=torch.Generator().manual_seed(1)) - 0.5
        spectrum = SpectrumTransform(32, 8, 12).forward(audio)[0].numpy()
        padded = np.pad(audio[0].numpy(), ((0, 0), (16, 16)), mode="reflect")
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(32) / 32)
        for column in range(21):
            for channel in range(2):
                expected = np.fft.rfft(window * padded[channel, 8 * column : 8 * column + 32])[:12]
                np.testing.assert_allclose(spectrum[2 * channel, :, column], expected.real, atol=1e-5)
                np.testing.assert_allclose(spectrum[2 * channel + 1, :, column], expected.imag, atol=1e-5)

    def test_bins_that_are_left_out_count_as_zero(self) -> None:
        whole, lower = SpectrumTransform(32, 8, 17), SpectrumTransform(32, 8, 12)
        audio = torch.rand((1, 2, 160), generator=torch.Generator().manual_seed(1)) - 0.5
        cut = whole.forward(audio)
        cut[:, :, 12:] = 0.0
        assert torch.equal(lower.inverse(lower.forward(audio)[:, None]), whole.inverse(cut[:, None]))
