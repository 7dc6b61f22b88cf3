"""Texts that a model has read, one a row, from which it can go on: no token is read twice."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from owlish.graph.errors import UserError
from owlish.graph.memory import is_spent
from owlish.lm.cache import attends, copy_cache, joinable, keyword, roomy, select
from owlish.lm.shape import MEMORY, ROWS

if TYPE_CHECKING:
    from owlish.lm.hf import TorchLM

CANNOT = "{} keeps what it has read in a way of its own, from which it cannot go on here: take another base."


@dataclass
class Texts:
    """Texts, all ending at the last slot: keys and values, which slots count [rows, slots], and the logits after each.

    Where positions are not `told`, because a tuned prompt stands before them, the texts are of one length.
    """

    model: Any
    cache: Any
    mask: Any
    logits: Any
    told: bool

    def read(self, ids: Any, mask: Any) -> None:
        """Read tokens [rows, tokens] after every text; `mask` is 0 where there is none."""
        import torch

        past = self.mask.shape[1]
        self.mask = torch.cat([self.mask, mask], 1)
        # Positions count tokens alone: padding before a text does not move it.
        positions = (self.mask.cumsum(-1) - 1).clamp(min=0)[:, past:]
        with torch.inference_mode():
            out = self.model(
                input_ids=ids,
                attention_mask=self.mask if attends(self.cache) else mask,
                position_ids=positions if self.told else None,
                use_cache=True,
                logits_to_keep=1,
                **{keyword(): self.cache},
            )
        self.logits = out.logits[:, -1].float()

    def go_on(self, at: Any, tokens: Any) -> Any:
        """Read one more token after the text `at` [continuations]; return where each continuation is now.

        Continuations of one text by one token become one row. Rows from which none goes on are dropped where rows
        must be moved anyway, or where they are many: to move rows takes about a quarter of the time of a step.
        """
        import torch

        size = self.logits.shape[-1]
        # A text and a token as one number.
        pairs, now = (at * size + tokens).unique(return_inverse=True)
        rows, tokens = pairs // size, pairs % size
        if len(rows.unique()) < len(rows) or 10 * len(rows) < 7 * len(self.mask):
            self.move(rows)
        elif len(rows) < len(self.mask):
            # Rows from which nothing goes on stay where they are, and read token 0 for nothing.
            tokens, now = torch.zeros_like(self.mask[:, 0]).index_copy(0, rows, tokens), rows[now]
        self.read(tokens[:, None], torch.ones_like(tokens[:, None]))
        return now

    def keep(self, rows: Any) -> None:
        """Keep the texts in `rows`, in that order; one may be named more than once."""
        self.move(rows)
        self.logits = self.logits[rows]

    def move(self, rows: Any) -> None:
        """Do what `keep` does, and leave the logits, which the next reading replaces."""
        select(self.cache, rows)
        self.mask = self.mask[rows]

    def branch(self, rows: Any) -> Texts:
        """Return some of the texts, to go on from without changing these."""
        found = Texts(self.model, copy_cache(self.cache), self.mask, self.logits, self.told)
        found.keep(rows)
        return found

    def join(self, other: Texts, *, room: int) -> None:
        """Take other texts in, with room for more tokens; slots at the left that count for none are dropped."""
        import torch

        masks = [mask[:, int(mask.any(0).int().argmax()) :] for mask in (self.mask, other.mask)]
        width = max(mask.shape[1] for mask in masks)
        self.mask = torch.cat([torch.nn.functional.pad(mask, (width - mask.shape[1], 0)) for mask in masks])
        for ours, theirs in zip(self.cache.layers, other.cache.layers, strict=True):
            ours.join(theirs, width=width, room=width + room)
        self.logits = torch.cat([self.logits, other.logits])


def begin(model: Any, ids: Any, mask: Any, *, room: int) -> Texts:
    """Read the beginnings of texts, with room for so many tokens in all."""
    import torch

    virtual = virtual_tokens(model)
    texts = Texts(model, roomy(model.config, virtual + room), mask[:, :0], None, told=not virtual)
    texts.read(ids, mask)
    if virtual:
        # PEFT puts the prompt's vectors before whatever it is given: from the second
        # reading on, the model below is asked, which finds them in the cache.
        texts.model = model.get_base_model()
        texts.mask = torch.cat([mask.new_ones(len(mask), virtual), mask], 1)
    return texts


def pads(model: Any) -> tuple[bool, bool]:
    """Say whether texts of several lengths can stand in one batch, each as if it were alone: padded before, and inside.

    They cannot where padding leaves a trace in the state of a layer; inside, where it counts as distance too.
    `UserError` is raised where a model does not go on from what it has read as it does from the whole text.
    """
    import torch

    size = model.get_input_embeddings().weight.shape[0]
    short, long = ([(seed * i) % size for i in range(2, count)] for seed, count in ((11, 8), (7, 20)))
    with torch.inference_mode():
        ids = torch.tensor([short], device=model.device)
        expected = model(input_ids=ids, use_cache=False).logits[0, -2:].float()
        allowed = 1e-4 * max(1.0, float(expected.abs().max()))
        if model.dtype != torch.float32:
            allowed = 0.1 * float(expected.std())  # rounding alone moves logits by a hundredth of that
        ways = (cut(short), cut(long, short), cut(long, short, at=3))
        alone, before, inside = (agrees(model, parts, expected, allowed) for parts in ways)
    if not alone:
        raise UserError(CANNOT.format(type(model).__name__))
    return before, before and inside


def agrees(model: Any, parts: Sequence[Sequence[Sequence[int]]], expected: Any, allowed: float) -> bool:
    """Say whether a model can read texts in parts, and finds what is expected; of no number nothing else is."""
    try:
        # Not `<=`: NaN is never greater, and so agrees. That a base gives none is said where it is asked.
        return not float((follow_parts(model, *parts) - expected).abs().max()) > allowed
    except (TypeError, ValueError, AttributeError, RuntimeError) as error:
        if is_spent(error):
            raise
        return False


def cut(*texts: Sequence[int], at: int = 0) -> tuple[Sequence[Sequence[int]], ...]:
    """Return texts in parts: what comes first, up to `at` if that is not 0, then the rest, and the last token."""
    middle = [text[at:-1] for text in texts]
    return ([text[:at] for text in texts], middle, [text[-1:] for text in texts])[not at :]


def follow_parts(model: Any, *parts: Sequence[Sequence[int]]) -> Any:
    """Return the logits [2, vocabulary] before and after the last token of the last of some texts, read in parts."""
    import torch

    room = sum(max(map(len, part)) for part in parts)
    found = begin(model, *pad_left(parts[0], model.device), room=room)
    for part in parts[1:]:
        before = found.logits[-1]
        found.read(*pad_left(part, model.device))
    return torch.stack([before, found.logits[-1]])


class Reader:
    """Reads prompts to go on from: a large model reads equal ones once, and what all begin with once.

    Small models, to which reading is cheap, read every prompt: their results stay as they were to the byte.
    """

    def __init__(self, lm: TorchLM, prompts: Sequence[Sequence[int]], *, room: int) -> None:
        self.lm, self.prompts, self.room = lm, list(map(tuple, prompts)), room
        self.longest = max(map(len, prompts), default=0)
        self.joins = lm.large and not lm.equal and joinable(roomy(lm.model.config, 1))
        # What comes after an opening is padded on its left, and so inside of the text.
        self.shared = alike(self.prompts) if self.joins and lm.gaps and len(set(self.prompts)) > 1 else 0
        self.opening = self.begun([self.prompts[0][: self.shared]], self.longest) if self.shared else None
        self.held: tuple[dict[tuple[int, ...], int], Texts] | None = None

    def hold(self) -> None:
        """Read all prompts now and keep them, where memory holds them: they will be asked for more than once."""
        distinct = list(dict.fromkeys(self.prompts))
        if self.lm.equal and len(set(map(len, distinct))) > 1:
            return
        # `fitting` counts logits in four copies, and what is held has them once: where they are most of a row, twice a
        # batch fits. Where keys and values are, memory may be full, which ends the holding alone.
        if len(distinct) > 2 * fitting(self.lm, self.longest + self.room):
            return
        try:
            texts, _ = self.texts(range(len(self.prompts)))
        except (RuntimeError, MemoryError) as error:
            if not is_spent(error):
                raise
            return  # each is then read when its turn comes, in batches that memory holds
        self.held = {prompt: row for row, prompt in enumerate(distinct)}, texts

    def again(self, wanted: Sequence[int]) -> Reader:
        """Return a reader of some of the prompts, each as often as it is named, that shares what was read."""
        found = copy(self)
        found.prompts = [self.prompts[i] for i in wanted]
        return found

    def texts(self, wanted: Sequence[int]) -> tuple[Texts, Any]:
        """Return prompts as texts, and the row of each that is wanted, [wanted]."""
        import torch

        prompts = [self.prompts[i] for i in wanted]
        distinct = list(dict.fromkeys(prompts)) if self.lm.large else prompts
        places = {prompt: row for row, prompt in enumerate(distinct)}
        at = torch.tensor([places[p] for p in prompts] if self.lm.large else range(len(prompts)), device=self.lm.device)
        if self.held:
            rows, texts = self.held
            return texts.branch(torch.tensor([rows[prompt] for prompt in distinct], device=self.lm.device)), at
        if self.opening is None:
            return self.begun(distinct, max(map(len, distinct))), at
        texts = self.opening.branch(torch.zeros(len(distinct), dtype=torch.long, device=self.lm.device))
        texts.read(*pad_left([prompt[self.shared :] for prompt in distinct], self.lm.device))
        return texts, at

    def begun(self, prompts: Sequence[Sequence[int]], longest: int) -> Texts:
        """Read the beginnings of prompts, with room for the rest of them and of what follows."""
        return begin(self.lm.model, *pad_left(prompts, self.lm.device), room=longest + self.room)


def fitting(lm: TorchLM, tokens: int) -> int:
    """Return how many rows of so many tokens go into a batch: what memory holds, on a GPU a quarter; at most 256."""
    import torch

    row = lm.shape.texts(1, tokens, lm.model.dtype.itemsize)
    gpu = lm.device.type == "cuda"
    memory = torch.cuda.get_device_properties(lm.device).total_memory // 4 if gpu else MEMORY
    return int(max(1, min(ROWS, memory // row)))


def take_rows(waiting: list[int], prompts: Sequence[Sequence[int]], count: int, *, equal: bool) -> list[int]:
    """Take the first of the waiting rows away, with prompts of one length if they must be `equal`."""
    if equal:
        length = len(prompts[waiting[0]])
        count = min(count, sum(len(prompts[i]) == length for i in waiting))
    group = waiting[:count]
    del waiting[:count]
    return group


def alike(texts: Sequence[tuple[int, ...]]) -> int:
    """Return the number of tokens with which all texts begin, short of the last token of any."""
    # In the order of texts, all others lie between these two, and begin with whatever both begin with.
    least, most = min(texts), max(texts)
    same = next((i for i, (a, b) in enumerate(zip(least, most, strict=False)) if a != b), len(least))
    return min(same, *(len(text) - 1 for text in texts))


def pad_left(prompts: Sequence[Sequence[int]], device: Any) -> tuple[Any, Any]:
    """Return ids and mask [rows, width], the prompts at the right edge."""
    import torch

    width = max(map(len, prompts))
    # Any token would do for padding: the mask hides it.
    ids = torch.zeros(len(prompts), width, dtype=torch.long)
    mask = torch.zeros(len(prompts), width, dtype=torch.long)
    for i, prompt in enumerate(prompts):
        ids[i, width - len(prompt) :] = torch.tensor(prompt)
        mask[i, width - len(prompt) :] = 1
    return ids.to(device), mask.to(device)


def virtual_tokens(model: Any) -> int:
    """Return how many vectors of a tuned prompt stand before the first token."""
    config = getattr(model, "peft_config", {}).get("default")
    return int(getattr(config, "num_virtual_tokens", 0) or 0)
