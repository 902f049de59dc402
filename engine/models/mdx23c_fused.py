"""The network of MDX23C models as a processor runs it fastest: prepared weights, fixed buffers, fused steps.

It computes what `engine.models.mdx23c.Mdx23c` does. Maps are (time, frequency, channel): norm and GELU are one step of
two passes, convolutions of 1x1 and 2x2 and the layers over frequencies are products of matrices into memory that is
there, and what sees two maps adds the products of each, so that none are put together. Every run uses the same buffers.
"""

from __future__ import annotations

from engine.backends.torch_runtime import torch
from engine.kernels.library import Kernels
from engine.models.mdx23c_weights import BlockWeights, Conv, FusedWeights, Norm, RescaleWeights
from engine.models.winograd import scratch_floats

__all__ = ["FusedNetwork"]

Tensor = torch.Tensor
_SLAB_PIXELS = 1 << 13
"""Pixels that go through the last layers at once: their maps stay in the cache."""


class FusedNetwork:
    """Buffers for windows of one length, and the way through them. Used by one thread at a time.

    Parameters
    ----------
    weights : FusedWeights
    columns : int
        Of each window's spectrum; a multiple of ``architecture.column_step``.
    kernels : Kernels

    Attributes
    ----------
    mixture : Tensor of float32, shape (columns, frequencies, channels * 2 * bands)
        The input: the spectrum, folded as `engine.models.mdx23c.Mdx23c` folds it.
    stems : Tensor of float32, shape (columns, frequencies, stems * channels * 2 * bands)
        The output.
    """

    def __init__(self, weights: FusedWeights, columns: int, kernels: Kernels) -> None:
        a, dtype = weights.architecture, weights.dtype
        self._weights = weights
        self._kernels = kernels
        self._columns = columns
        self._threads = 1
        sizes = [columns // 2**n * a.level(n)[1] * a.level(n)[0] for n in range(a.scales + 1)]
        largest = max(sizes)
        # Where two maps are seen, they are activated side by side.
        self._activated = torch.empty(max(largest, 2 * max(sizes[:-1], default=0)), dtype=dtype)
        self._inner = torch.empty(largest, dtype=dtype)
        self._risen = torch.empty(largest, dtype=dtype)
        self._chain = torch.empty(2, largest, dtype=dtype)
        self._skips = [torch.empty(size, dtype=dtype) for size in sizes[:-1]]
        self._narrow = torch.empty(-(-largest // a.bottleneck), dtype=dtype)
        widest = max(a.level(0)[0], a.level(a.scales)[0])
        self._moments = torch.empty(kernels.moments(2 * widest), dtype=torch.float64)
        made = [a.level(n)[0] for n in range(a.scales + 1)]
        floats = max(scratch_floats(given, each) for each in made for given in (each, 2 * each))
        self._scratch = torch.empty(floats if dtype is torch.float32 else 0)
        slab = min(_SLAB_PIXELS, columns * a.frequencies)
        self._first = torch.empty(slab, a.width)
        self._last = torch.empty(slab, a.width)
        self.mixture = torch.empty(columns, a.frequencies, a.spectrum_channels)
        self.stems = torch.empty(columns, a.frequencies, a.outputs * a.spectrum_channels)

    def run(self) -> None:
        """Separate ``mixture`` into ``stems``, with as many threads as PyTorch is set to."""
        self._threads = min(torch.get_num_threads(), self._kernels.most_threads)
        weights, a = self._weights, self._weights.architecture
        x = self._map(self._chain[0], 0)
        self._enter(x)
        for level, (blocks, rescale) in enumerate(weights.encoders):
            skip = self._run_blocks(blocks, (x,), level, self._skips[level])
            x = self._sink(rescale, skip, level)
        x = self._run_blocks(weights.bottleneck, (x,), a.scales)
        for level in reversed(range(a.scales)):
            rescale, blocks = weights.decoders[level]
            maps = (self._rise(rescale, x, level), self._map(self._skips[level], level))
            x = self._run_blocks(blocks, maps, level)
        self._leave(x)

    def _map(self, memory: Tensor, level: int) -> Tensor:
        channels, frequencies = self._weights.architecture.level(level)
        columns = self._columns // 2**level
        return memory[: columns * frequencies * channels].view(columns, frequencies, channels)

    def _enter(self, x: Tensor) -> None:
        """Go through the first layer."""
        mixture, x = self.mixture.flatten(0, 1), x.flatten(0, 1)
        if x.dtype is torch.float32:
            torch.mm(mixture, self._weights.first, out=x)
            return
        for begin in range(0, len(x), len(self._first)):
            part = x[begin : begin + len(self._first)]
            first = self._first[: len(part)]
            torch.mm(mixture[begin : begin + len(part)], self._weights.first, out=first)
            part.copy_(first)

    def _leave(self, x: Tensor) -> None:
        """Go through the last layers, which see the mixture and the output of the first layer once more."""
        weights = self._weights
        mixture, x, stems = self.mixture.flatten(0, 1), x.flatten(0, 1), self.stems.flatten(0, 1)
        for begin in range(0, len(x), len(self._first)):
            part = x[begin : begin + len(self._first)]
            heard = mixture[begin : begin + len(part)]
            first, last = self._first[: len(part)], self._last[: len(part)]
            torch.mm(heard, weights.first, out=first)
            # Through float32 by hand: a product of two types would make a copy.
            first.mul_(last.copy_(part))
            torch.mm(heard, weights.final_mixture, out=last)
            last.addmm_(first, weights.final_map)
            torch.ops.aten.gelu.out(last, out=last)
            torch.mm(last, weights.final, out=stems[begin : begin + len(part)])

    def _run_blocks(
        self, blocks: list[BlockWeights], maps: tuple[Tensor, ...], level: int, last: Tensor | None = None
    ) -> Tensor:
        """Run the blocks of a scale, of which none of ``maps`` is in the chain's second half; end in ``last``."""
        for n, block in enumerate(blocks):
            memory = self._chain[1 - n % 2] if last is None or n + 1 < len(blocks) else last
            made = self._map(memory, level)
            self._run_block(block, maps, made)
            maps = (made,)
        return maps[0]

    def _run_block(self, block: BlockWeights, maps: tuple[Tensor, ...], made: Tensor) -> None:
        columns, frequencies, channels = made.shape
        rows = made.view(-1, channels)
        torch.mm(maps[0].view(-1, maps[0].shape[-1]), block.shortcuts[0], out=rows)
        for other, shortcut in zip(maps[1:], block.shortcuts[1:], strict=True):
            rows.addmm_(other.view(-1, other.shape[-1]), shortcut)
        given = sum(each.shape[-1] for each in maps)
        activated = self._activated[: columns * frequencies * given].view(columns, frequencies, given)
        place = 0
        for each, norm in zip(maps, block.norms, strict=True):
            self._activate(each, activated[..., place:], norm)
            place += each.shape[-1]
        inner = self._inner[: made.numel()].view(made.shape)
        self._convolve(block.tfc1, activated, inner, is_added=False)
        activated = self._activated[: made.numel()].view(made.shape)
        self._activate(inner, activated, block.inner_norm)
        narrowed = block.narrow.shape[1]
        narrow = self._narrow[: columns * narrowed * channels].view(columns, narrowed, channels)
        self._mix_frequencies(block.narrow, activated, narrow, is_added=False)
        self._activate(narrow, narrow, block.narrow_norm)
        self._mix_frequencies(block.wide, narrow, inner, is_added=True)
        self._activate(inner, activated, block.outer_norm)
        self._convolve(block.tfc2, activated, made, is_added=True)

    def _mix_frequencies(self, weight: Tensor, x: Tensor, y: Tensor, *, is_added: bool) -> None:
        """Multiply each column of ``x`` (columns, given, channels) by the weight, which is there several times."""
        if x.dtype is torch.float32:
            weight = weight.expand(len(x), -1, -1)
        step = len(weight)
        for begin in range(0, len(x), step):
            given, made = x[begin : begin + step], y[begin : begin + step]
            if is_added:
                made.baddbmm_(weight[: len(given)], given)
            else:
                torch.bmm(weight[: len(given)], given, out=made)

    def _sink(self, rescale: RescaleWeights, x: Tensor, level: int) -> Tensor:
        """Go down one scale."""
        columns, frequencies, channels = x.shape
        folded = self._activated[: x.numel()].view(columns // 2, frequencies // 2, 4 * channels)
        self._activate(x, folded, rescale.norm, is_folded=True)
        below = self._map(self._chain[0], level + 1)
        torch.mm(folded.view(-1, 4 * channels), rescale.matrix, out=below.view(-1, below.shape[-1]))
        return below

    def _rise(self, rescale: RescaleWeights, x: Tensor, level: int) -> Tensor:
        """Go up to a scale."""
        columns, frequencies, channels = x.shape
        activated = self._activated[: x.numel()].view(x.shape)
        self._activate(x, activated, rescale.norm)
        above = self._map(self._risen, level)
        made = above.shape[-1]
        unfolded = self._inner[: above.numel()].view(-1, 4 * made)
        torch.mm(activated.view(-1, channels), rescale.matrix, out=unfolded)
        neighbours = unfolded.view(columns, frequencies, 2, 2 * made).permute(0, 2, 1, 3)
        above.view(columns, 2, frequencies, 2 * made).copy_(neighbours)
        return above

    def _activate(self, x: Tensor, y: Tensor, norm: Norm, *, is_folded: bool = False) -> None:
        self._kernels.norm_gelu(x, y, norm, self._moments, is_folded=is_folded, threads=self._threads)

    def _convolve(self, conv: Conv, x: Tensor, y: Tensor, *, is_added: bool) -> None:
        conv(x, y, is_added=is_added, kernels=self._kernels, threads=self._threads, scratch=self._scratch)
