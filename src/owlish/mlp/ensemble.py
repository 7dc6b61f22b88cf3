"""Many perceptrons of one shape, trained at once: batched matrix products, gradients written by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from owlish.graph.spec import Value

if TYPE_CHECKING:
    from torch import Generator, Tensor

CLASSES = 10

# Slopes are told from what came out: of relu its sign, 0 or 1; of tanh 1 - h².
ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "relu": (lambda h: h.relu_(), lambda h: h.sign_()),
    "tanh": (lambda h: h.tanh_(), lambda h: h.square_().neg_().add_(1)),
    "linear": (lambda h: h, lambda h: h.fill_(1)),
}
"""What a hidden layer does, in place, and its slope from what came out, in place too."""


@dataclass(frozen=True)
class Shape(Value, kind="mlp_shape"):
    """A perceptron with two hidden layers, ten class logits and, after them, auxiliary logits without a meaning."""

    width: int = 256
    auxiliary: int = 3
    activation: str = "relu"

    def sizes(self, pixels: int) -> tuple[int, ...]:
        """Return the sizes of its layers, from the pixels to the logits."""
        return (pixels, self.width, self.width, CLASSES + self.auxiliary)

    def initial(self, pixels: int, *, models: int, generator: Generator) -> list[Tensor]:
        """Return weights [models, in, out] drawn from N(0, 1/sqrt(in)) and biases [models, 1, out] of 0, by layer."""
        import torch

        sizes, parameters = self.sizes(pixels), []
        for fan_in, fan_out in pairwise(sizes):
            weights = torch.empty(models, fan_in, fan_out).normal_(0, fan_in**-0.5, generator=generator)
            parameters += [weights, torch.zeros(models, 1, fan_out)]
        return parameters


class Ensemble:
    """Perceptrons with the buffers of a forward and a backward pass.

    All models see the same batch, so nothing is gathered or copied per model. `parameters` are those of
    `Shape.initial` and stay in float32; `precision` is that of the matrix products.
    """

    def __init__(self, parameters: list[Tensor], *, activation: str, batch: int, precision: str = "float32") -> None:
        import torch

        self.layers = list(zip(parameters[::2], parameters[1::2], strict=True))
        self.activate, self.slope = ACTIVATIONS[activation]
        self.batch, self.dtype = batch, getattr(torch, precision)
        self.outs = [torch.empty(len(w), batch, w.shape[2], dtype=self.dtype) for w, _ in self.layers]
        self.deltas = [torch.zeros_like(out) for out in self.outs]

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits [models, batch, logits] on x [batch, pixels], valid until the next call."""
        import torch

        h = self.every(x)
        for (weights, bias), out in zip(self.layers, self.outs, strict=True):
            # [models, batch, out]. The last batch of a pass may be shorter than the buffers.
            h = torch.baddbmm(bias.to(self.dtype), h, weights.to(self.dtype), out=out[:, : len(x)])
            if out is not self.outs[-1]:
                self.activate(h)
        return h.float()

    def learn(self, x: Tensor, target: Tensor, columns: slice) -> None:
        """Set the gradient of the mean cross-entropy between `target` and the softmax of the logits in `columns`.

        `target` holds probabilities [batch, columns] or [models, batch, columns]. Towards a teacher's
        probabilities this is the gradient of KL(teacher || student) too. Logits in other columns have none.
        """
        logits = self.forward(x)[..., columns]
        # Other columns hold what an earlier call left.
        self.deltas[-1].zero_()
        # The slope of cross-entropy is softmax less target. It is divided by the batch alone, as each model has a loss
        # of its own; the authors' script divides by the models instead, 1,024 times too much, which Adam hides.
        self.deltas[-1][:, : len(x), columns] = logits.softmax(-1).sub_(target).div_(len(x))
        self.backward(x)

    def backward(self, x: Tensor) -> None:
        """Set the gradients from the last of `deltas`; overwrites what `forward` left in `outs`."""
        import torch

        deltas = [delta[:, : len(x)] for delta in self.deltas]
        below = [self.every(x), *(out[:, : len(x)] for out in self.outs[:-1])]
        for layer, (weights, bias) in reversed(list(enumerate(self.layers))):
            # [models, in, batch] times [models, batch, out]. Before the last line here,
            # which overwrites what came into the layer.
            weights.grad = torch.bmm(below[layer].transpose(1, 2), deltas[layer]).float()
            bias.grad = deltas[layer].float().sum(1, keepdim=True)
            if layer:
                torch.bmm(deltas[layer], weights.to(self.dtype).transpose(1, 2), out=deltas[layer - 1])
                deltas[layer - 1].mul_(self.slope(below[layer]))

    def every(self, x: Tensor) -> Tensor:
        """Return x for every model, without a copy for each."""
        return x.to(self.dtype).expand(len(self.outs[0]), *x.shape)

    def accuracy(self, images: Tensor, digits: Tensor) -> list[float]:
        """Return each model's share of images [images, pixels] whose digit has the highest class logit."""
        import torch

        # The buffers hold no more than a batch.
        parts = [slice(first, first + self.batch) for first in range(0, len(images), self.batch)]
        right = [self.forward(images[part])[..., :CLASSES].argmax(-1) == digits[part] for part in parts]
        return torch.cat(right, 1).double().mean(1).tolist()
