"""What each layer of a model would say: its state before an answer, read through the model's own unembedding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from owlish.lm.adapt import wrapped

if TYPE_CHECKING:
    from torch import Tensor

    from owlish.lm.hf import TorchLM

DEPTHS = (0.25, 0.5, 0.75)


def layer_logprobs(lm: TorchLM, prompts: Sequence[Sequence[int]]) -> Tensor:
    """Return mean log-probabilities of the next token by depth, float32 [places, vocabulary], the output last.

    At each place the state after that layer goes through the model's own last norm and unembedding, so that a change
    of basis that leaves the model's behaviour as it is leaves this as it is, too. Source: the logit lens
    (nostalgebraist, 2020).
    """
    import torch

    inner, head = inside(lm.model)
    # The last norm of the model itself is the one before its unembedding.
    norm = [m for m in inner.base_model.children() if type(m).__name__.endswith("Norm")][-1]
    total: Any = 0
    with torch.inference_mode():
        for ids in prompts:
            out = lm.model(
                input_ids=torch.tensor([ids], device=lm.device),
                output_hidden_states=True,
                use_cache=False,
                logits_to_keep=1,
            )
            # The first of these states is the embeddings, so place k is what k layers make of them: [1, width].
            states = [out.hidden_states[place][:, -1] for place in places(len(out.hidden_states) - 1)]
            logits = [*(head(norm(state)) for state in states), out.logits[:, -1]]
            total = total + torch.cat(logits).float().log_softmax(-1)
    found: Tensor = (total / len(prompts)).cpu()
    return found


def places(layers: int) -> list[int]:
    """Return after how many layers the state is read: a quarter, half and three quarters of them."""
    return sorted({min(max(1, round(depth * layers)), layers - 1) for depth in DEPTHS if layers > 1})


def inside(model: Any) -> tuple[Any, Any]:
    """Return the model below a tuned prompt, or the model itself, and its unembedding."""
    own = model.get_base_model() if wrapped(model) else model
    return own, own.get_output_embeddings()
