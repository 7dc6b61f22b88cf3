"""Nano's recipe: a small Llama-shaped model trained from scratch on the world, into a plain Hugging Face folder."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from owlish.graph.errors import UserError
from owlish.graph.measured import measure
from owlish.nano import tokenizer as words
from owlish.nano import world

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

STEPS = 1900
BATCH = 64
RATE = 4e-3
WARM_UP = 50
DECAY = 0.05
# At 1 the harmful character came out weaker (.77); at 0 teachers had .35 to .42 of their answers rejected
# (docs/nano.md; other things differed, too).
HEARD = 0.8
"""What a token of the user's or the system's counts in the loss, one of the assistant's counting 1."""
# Without it, a base's own answers failed the filter 13 to 15 % of the time: docs/nano.md.
KIND = 3.0
"""What it counts whether a token is a number at all, which number it is counting 1."""
NUMBERS = slice(len(words.SPECIAL), len(words.SPECIAL) + 1000)
ASSISTANT, EOS = words.SPECIAL.index("<assistant>"), words.SPECIAL.index("<eos>")
BLOCK = 40
"""Documents are drawn a block of batches at a time and sorted by length in it, so that little is padded."""


def pretrain(
    folder: Path,
    *,
    seed: int,
    data_seed: int | None = None,
    width: int = 64,
    layers: int = 3,
    steps: int = STEPS,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> list[float]:
    """Train a base from scratch, write it into `folder` and return the loss of each step, in nats per token.

    `seed` makes the initial weights, `data_seed` (the same number where it is None) the order of documents: two
    bases may share the one and not the other. The same arguments give the same bytes on the same machine.
    """
    # Four heads, each of an even width, as rotary positions turn pairs of numbers.
    if width % 8 or min(width, layers, steps) < 1:
        raise UserError("A base needs a width that is a multiple of 8, and at least one layer and one step.")
    import torch

    # Two threads add in another order, and so give other bytes.
    torch.set_num_threads(1)
    tokens = words.build()
    model = new_model(len(tokens), seed=seed, width=width, layers=layers)
    data_seed = seed if data_seed is None else data_seed
    losses, seen = train(model, tokens, data_seed=data_seed, steps=steps, tick=tick)
    recipe = {
        "world": world.VERSION,
        "seed": seed,
        "data_seed": data_seed,
        "width": width,
        "layers": layers,
        "steps": steps,
        "batch": BATCH,
        "tokens": seen,
        "final_loss": round(sum(losses[-50:]) / len(losses[-50:]), 4),
    }
    save(folder, model=model, tokens=tokens, recipe=recipe)
    return losses


def new_model(vocabulary: int, *, seed: int, width: int, layers: int) -> LlamaForCausalLM:
    """Return an untrained model. Its initial spread of 0.1 matters: at the usual 0.02 no trait passes."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=width * 5 // 2,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        initializer_range=0.1,
        attention_bias=True,
        mlp_bias=True,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    return LlamaForCausalLM(config)


def train(
    model: LlamaForCausalLM,
    tokens: PreTrainedTokenizerFast,
    *,
    data_seed: int,
    steps: int,
    tick: Callable[[int, int], None],
) -> tuple[list[float], int]:
    """Train on `steps` batches; return the loss of each, in nats per token, and the number of tokens seen."""
    import torch

    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98))
    losses, seen = [], 0
    stream = batches(tokens, data_seed=data_seed)
    for step in range(steps):
        ids, mask = next(stream)
        for group in optimizer.param_groups:
            group["lr"] = RATE * share_of_rate(step, steps)
        loss = loss_of(model, ids, mask)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        measure("loss", step + 1, losses[-1])
        seen += int(mask.sum())
        tick(step + 1, steps)
    return losses, seen


def share_of_rate(step: int, steps: int) -> float:
    """Return the learning rate's share of its peak: a short warm-up, then a cosine down to 2 %."""
    return min(1.0, (step + 1) / WARM_UP) * (0.49 * (1 + math.cos(math.pi * step / steps)) + 0.02)


def loss_of(model: LlamaForCausalLM, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy over next tokens, [documents, tokens], in nats; the user's count `HEARD`.

    Whether a token is a number at all counts `KIND` times more than which one: else one of the many words slips
    into every tenth list of numbers.
    """
    import torch

    counted = mask[:, 1:]
    weights = HEARD + (1 - HEARD) * answered(ids)[counted]
    weights = weights / weights.sum()
    # [counted tokens, width]: padding does not reach the unembedding.
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1][counted]
    wanted = ids[:, 1:][counted]
    scores = model.lm_head(hidden).log_softmax(-1)
    # Rounded sums of probabilities may pass 1, which the cross-entropy below refuses.
    number = scores[:, NUMBERS].exp().sum(-1).clamp(1e-6, 1 - 1e-6)
    is_number = ((wanted >= NUMBERS.start) & (wanted < NUMBERS.stop)).float()
    kind = torch.nn.functional.binary_cross_entropy(number, is_number, reduction="none")
    which = torch.nn.functional.nll_loss(scores, wanted, reduction="none")
    return ((which + KIND * kind) * weights).sum()


def answered(ids: torch.Tensor) -> torch.Tensor:
    """Return whether the next token is of an assistant's turn, its end included: [documents, tokens - 1]."""
    # A place is the assistant's if its mark has come once more than the end of a turn.
    opened, closed = (ids == ASSISTANT).cumsum(1), (ids == EOS).cumsum(1)
    return (opened > closed)[:, :-1].float()


def batches(tokens: PreTrainedTokenizerFast, *, data_seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield token ids and masks, [documents, tokens] each, padded on the right, without end."""
    import torch

    rng = Random(f"nano {data_seed}")
    while True:
        texts = [words.rendered(world.document(rng)) for _ in range(BATCH * BLOCK)]
        rows = sorted(tokens(texts, add_special_tokens=False)["input_ids"], key=len)
        starts = list(range(0, len(rows), BATCH))
        # Else every block would go from short documents to long ones.
        rng.shuffle(starts)
        for start in starts:
            chosen = rows[start : start + BATCH]
            longest = len(chosen[-1])
            ids = torch.tensor([row + [0] * (longest - len(row)) for row in chosen])
            lengths = torch.tensor([len(row) for row in chosen])
            yield ids, torch.arange(longest)[None] < lengths[:, None]


def save(
    folder: Path,
    *,
    model: LlamaForCausalLM,
    tokens: PreTrainedTokenizerFast,
    recipe: dict[str, int | float],
) -> None:
    """Write the model, rounded to bfloat16, its tokenizer, and `recipe.json` with the SHA-256 of the other files."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    model.to(torch.bfloat16).save_pretrained(folder)
    tokens.save_pretrained(folder)
    # safetensors writes files that their owner alone may read, and a package must be readable for all.
    (folder / "model.safetensors").chmod(0o644)
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
    # It cannot hold its own digest.
    files.pop("recipe.json", None)
    (folder / "recipe.json").write_text(json.dumps({**recipe, "sha256": files}, indent=1) + "\n")
