"""What each layer of a model would say: its state before an answer, as if no further layer came after it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from owlish.lm.adapt import wrapped
from owlish.lm.layout import layers

if TYPE_CHECKING:
    from torch import Tensor

    from owlish.lm.hf import TorchLM

DEPTHS = (0.25, 0.5, 0.75)


def layer_logprobs(lm: TorchLM, prompts: Sequence[Sequence[int]]) -> Tensor:
    """Return mean log-probabilities of the next token by depth, float32 [places, vocabulary], the output last.

    At each place the state after that layer goes through what the model has after its last layer: its own last norm
    and unembedding, and whatever else its family has there. So a change of basis that leaves the model's behaviour as
    it is leaves this as it is, too. A prompt has at least as many tokens as there are places. Source: the logit lens
    (nostalgebraist, 2020).
    """
    import torch

    _, decoder = layers(inside(lm.model))
    after = places(len(decoder))
    count = len(after) + 1
    total: Any = 0
    with torch.inference_mode(), ended_early(decoder, after):
        for ids in prompts:
            tokens = torch.tensor([ids], device=lm.device)
            logits = lm.model(input_ids=tokens, use_cache=False, logits_to_keep=count).logits
            # Some models give the logits of all positions, whatever they are asked for.
            total = total + logits[0, -count:].float().log_softmax(-1)
    found: Tensor = (total / len(prompts)).cpu()
    return found


def places(layers: int) -> list[int]:
    """Return after how many layers the state is read: a quarter, half and three quarters of them."""
    return sorted({min(max(1, round(depth * layers)), layers - 1) for depth in DEPTHS if layers > 1})


def inside(model: Any) -> Any:
    """Return the model below a tuned prompt, or the model itself."""
    return model.get_base_model() if wrapped(model) else model


@contextmanager
def ended_early(decoder: Any, after: Sequence[int]) -> Iterator[None]:
    """Let the last layer give on, before its state at the last position, the states there after fewer layers.

    They take the places of earlier positions: what comes after the layers treats each position alone, and some
    families take no other number of rows there than went in.
    """
    import torch

    early: list[Any] = []

    def keep(module: Any, arguments: Any, output: Any) -> None:
        early.append(state(output)[..., -1:, :])

    def put(module: Any, arguments: Any, output: Any) -> Any:
        own = state(output)  # [..., positions, width]
        rows = [own[..., : -len(after) - 1, :], *(row.to(own.device) for row in early), own[..., -1:, :]]
        early.clear()
        joined = torch.cat(rows, -2)
        return (joined, *output[1:]) if isinstance(output, tuple) else joined

    with ExitStack() as hooks:
        for layer, do in (*((decoder[count - 1], keep) for count in after), (decoder[-1], put)):
            hooks.enter_context(layer.register_forward_hook(do))
        yield


def state(output: Any) -> Any:
    """Return what a decoder layer gives on; those of some families give a tuple with the state in front."""
    return output[0] if isinstance(output, tuple) else output
