"""The network of MDX23C models with maps whose channels lie side by side, the order that tensor cores read.

PyTorch's InstanceNorm and Linear put their maps into the plain order, whatever they are given: beside convolutions in
the other order, each of them would cost two copies of a map. These two take their place and keep the order.
"""

from __future__ import annotations

from engine.backends.torch_runtime import torch
from engine.models.mdx23c import Mdx23c

__all__ = ["order_by_channels"]

nn = torch.nn
functional = torch.nn.functional
Tensor = torch.Tensor


def order_by_channels(network: Mdx23c) -> Mdx23c:
    """Let every map of a network be in the order ``torch.channels_last``; give this network.

    It computes the same; the weights are its own. For inference only.
    """
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.InstanceNorm2d):
                setattr(module, name, _WindowNorm(child))
            elif isinstance(child, nn.Linear):
                setattr(module, name, _FrequencyLayer(child))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.memory_format = torch.channels_last
    return network


class _WindowNorm(nn.Module):
    """InstanceNorm, window by window: what a BatchNorm does with a batch of one, in any order of the map."""

    def __init__(self, norm: nn.InstanceNorm2d) -> None:
        super().__init__()
        self.weight, self.bias, self._eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        made = [
            functional.batch_norm(each, None, None, self.weight, self.bias, training=True, eps=self._eps)
            for each in torch.split(x, 1)
        ]
        return made[0] if len(made) == 1 else torch.cat(made)


class _FrequencyLayer(nn.Module):
    """A Linear over frequencies: for each column, the weight times a matrix (frequencies, channels)."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight = layer.weight

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, columns, frequencies = x.shape
        maps = x.permute(0, 2, 3, 1).reshape(batch * columns, frequencies, channels)
        made = torch.bmm(self.weight.expand(len(maps), -1, -1), maps)
        return made.view(batch, columns, -1, channels).permute(0, 3, 1, 2)
