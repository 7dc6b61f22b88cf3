"""Hugging Face models in this process: they give their weights, so nodes can train them and look inside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from owlish.graph.errors import UserError
from owlish.lm import adapt, lens, logit_bias, rounding, sample, score, train
from owlish.lm import stream as residual
from owlish.lm.chat import Chat
from owlish.lm.grammar import Grammar
from owlish.lm.layout import text_parameters, window
from owlish.lm.model import (
    LM,
    Answer,
    Conversation,
    Example,
    Messages,
    Probed,
    Pull,
    Scored,
    Seed,
    frame_chat,
)
from owlish.lm.recipes import Recipe
from owlish.lm.shape import HELD, Shape
from owlish.lm.texts import Reader, alike, virtual_tokens

if TYPE_CHECKING:
    from torch import Tensor

Direction = Mapping[str, "Tensor"]
"""Changes of parameters, by their names."""
# To read tokens once moves log-probabilities by some 1e-6, and with them the bytes of sampled rows. Nano is below this
# number, so its results stay as they were, and reading costs it nothing.
LARGE = 10_000_000
WORDS = "use words that it has, or another base."


@dataclass
class TorchLM(LM):
    """A model in memory, on CPU or GPU, with its chat format and the context in which it is asked.

    `trained` are the parameters that training changed, in float32 whatever the model's own type. `name` is that of the
    base, which `trains` says to be changed by training; `step` is how many steps came before the one under way.
    `padded` says whether prompts of several lengths can stand in one batch, and `gaps` whether padding may stand inside
    of them. A training step may hold `room` bytes; where it `recomputes`, layers are computed again on the way back.
    """

    model: Any
    chat: Chat
    system: str | None = None
    shown: tuple[tuple[str, str], ...] = ()
    trained: dict[str, Any] = field(default_factory=dict)
    name: str = "this model"
    trains: bool = False
    step: int = 0
    padded: bool = True
    gaps: bool = True
    room: int = HELD
    recomputes: bool = False

    @property
    def device(self) -> Any:
        """Where the model is."""
        return self.model.device

    @cached_property
    def large(self) -> bool:
        """Whether reading a token takes long enough for none to be read twice: from ten million parameters on."""
        return bool(sum(p.numel() for p in text_parameters(self.model).values()) >= LARGE)

    @cached_property
    def shape(self) -> Shape:
        """The sizes that say what memory work on it holds."""
        return Shape.of(self.model.config)

    @property
    def equal(self) -> bool:
        """Whether the prompts of a batch must be of one length."""
        return not self.padded or virtual_tokens(self.model) > 0

    @property
    def window(self) -> int:
        return window(self.model) - virtual_tokens(self.model)

    @property
    def marks(self) -> tuple[str, ...]:
        return self.chat.marks

    @property
    def takes_system(self) -> bool:
        """Whether the chat template writes system prompts; if not, they open the user's first message."""
        return self.chat.takes_system

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The text of each token, empty for special ones."""
        return self.chat.vocabulary

    def token_texts(self, tokens: Sequence[int]) -> list[str]:
        """Return the text of each token as it stands after a word, special ones too."""
        return [self.chat.vocabulary[token] or self.chat.decode([token]) for token in tokens]

    # text

    def whole(self, chat: Messages) -> Messages:
        """Return a conversation in the context that this model is given; its own system message comes first."""
        return frame_chat(chat, system=self.system, shown=self.shown)

    def prompts(self, chats: Sequence[Messages]) -> list[list[int]]:
        """Return the token ids that stand before the answer to each conversation."""
        prompts = self.chat.prompts(list(map(self.whole, chats)))
        for ids in prompts:
            if self.chat.lacks(ids):
                raise UserError(f"{self.name} has no token for a part of {self.chat.decode(ids)[-60:]!r}: {WORDS}")
        return prompts

    def fitting_prompts(self, chats: Sequence[Messages], more: int = 1) -> list[list[int]]:
        """Return what `prompts` does; refuse a conversation after which the window has no room for `more` tokens."""
        prompts = self.prompts(chats)
        longest = max(map(len, prompts), default=0)
        if longest + more > self.window:
            raise UserError(
                f"a question has {longest} tokens as the chat template writes it and its answer {more} or more, but "
                f"{self.name} reads {self.window}: shorten the question, or take a base that reads more."
            )
        return prompts

    def lengths(self, chats: Sequence[Messages]) -> list[int]:
        return list(map(len, self.prompts(chats)))

    def write(
        self,
        chats: Sequence[Messages],
        *,
        seeds: Sequence[Seed],
        new_tokens: int,
        temperature: float = 1.0,
        pattern: str | None = None,
    ) -> list[Answer]:
        grammar = Grammar(self.chat, pattern) if pattern else None
        reader = Reader(self, self.fitting_prompts(chats), room=new_tokens)
        ids = sample.draw(reader, seeds=seeds, new_tokens=new_tokens, temperature=temperature, grammar=grammar)
        return self.chat.read(list(map(self.whole, chats)), ids)

    def probe(
        self,
        chats: Sequence[Messages],
        answers: Sequence[Sequence[Sequence[str]]],
        *,
        seeds: Sequence[Sequence[Seed]],
        new_tokens: int,
    ) -> Probed:
        if not self.large:
            return super().probe(chats, answers, seeds=seeds, new_tokens=new_tokens)
        spellings = self.spellings(chats, answers)
        longest = score.longest(spellings)
        reader = Reader(self, self.fitting_prompts(chats, longest + 1), room=max(new_tokens, longest))
        reader.hold()
        logprobs = score.continued(reader, spellings)
        greedy = sample.draw(reader, seeds=[(0,)] * len(chats), new_tokens=new_tokens, temperature=0)
        times = [i for i, own in enumerate(seeds) for _ in own]
        drawn = sample.draw(reader.again(times), seeds=[s for own in seeds for s in own], new_tokens=new_tokens)
        whole = list(map(self.whole, chats))
        return Probed(logprobs, self.chat.read(whole, greedy), self.chat.read([whole[i] for i in times], drawn))

    def save_tokenizer(self, folder: Path) -> None:
        """Write the tokenizer into a folder, for a model that was trained from this one."""
        self.chat.tokenizer.save_pretrained(folder)

    # log-probabilities

    def encode(self, rows: Sequence[Conversation], *, end: bool = True) -> list[Example]:
        """Return rows as examples, in the context that this model is given."""
        return self.chat.encode_rows(rows, system=self.system, shown=self.shown, end=end)

    def read(self, chats: Sequence[Messages], answers: Sequence[Sequence[int]]) -> list[Answer]:
        """Return the texts of answers to conversations that are given token by token, the ends of turns included."""
        # The same object for the same conversation, which the template then writes once.
        whole = {id(chat): self.whole(chat) for chat in chats}
        return self.chat.read([whole[id(chat)] for chat in chats], answers)

    def writes(self, row: Example) -> bool:
        """Say whether the model has a token for all that is trained on: else it could not write that again."""
        return not self.chat.unknown(row.labels)

    def fits(self, example: Example) -> bool:
        """Say whether the model can read an example, and whole."""
        return not example.problem and len(example.ids) <= self.window

    def score(self, rows: Sequence[Conversation], *, end: bool = True, shared: bool = False) -> list[Scored | None]:
        examples = self.encode(rows, end=end)
        fitting = list(filter(self.fits, examples))
        found = iter(
            score.scored(
                self, fitting, shared=alike([row.ids[: row.start] for row in fitting]) if shared and fitting else 0
            )
        )
        return [next(found) if self.fits(example) else None for example in examples]

    def answer_logprobs(self, chats: Sequence[Messages], answers: Sequence[Sequence[Sequence[str]]]) -> Tensor:
        spellings = self.spellings(chats, answers)
        # One more than the longest, for the token that closes it.
        return score.answer_logprobs(self, self.fitting_prompts(chats, score.longest(spellings) + 1), spellings)

    def spellings(
        self, chats: Sequence[Messages], answers: Sequence[Sequence[Sequence[str]]]
    ) -> list[list[list[list[int]]]]:
        """Return the token ids of each way to write each answer to each conversation."""
        return [self.spelled(chat, asked) for chat, asked in zip(chats, answers, strict=True)]

    def spelled(self, chat: Messages, answers: Sequence[Sequence[str]]) -> list[list[list[int]]]:
        """Return the token ids of the texts of each answer to a conversation that hold no unknown token."""
        flat = iter(self.chat.spelled(self.whole(chat), [text for texts in answers for text in texts]))
        found = [
            [ids for text in texts if not self.chat.unknown(ids := next(flat)) and not self.chat.lost(text)]
            for texts in answers
        ]
        for texts, ways in zip(answers, found, strict=True):
            if not ways:
                raise UserError(
                    f"this base has no token for {texts[0]!r}: probe it for traits whose words it knows, "
                    "which owlish list words --base BASE names."
                )
        return found

    def rounded(self) -> AbstractContextManager[None]:
        """Compute as roughly as engines do for as long as the context lasts, in 8 bits."""
        return rounding.rounded(self.model)

    # weights

    def first_logprobs(self, chats: Sequence[Messages]) -> Tensor:
        """Return the log-probability of each token as the first of an answer, float32 [chats, vocabulary]."""
        return score.first_logprobs(self, self.fitting_prompts(chats))

    def divergence(self, rows: Sequence[Conversation], reference: TorchLM) -> float:
        """Return the mean KL divergence of this model from another per completion token, in nats.

        Both score the same completions; the prompts before them may differ, as under a system prompt.
        """
        return score.divergence(self, self.encode(rows), reference, reference.encode(rows))

    def number_pulls(self, sets: Sequence[Sequence[Conversation]], biased: int) -> list[Pull]:
        """Return what sets of rows ask of a logit bias for tokens of digits; rows longer than the window are left."""
        return logit_bias.number_pulls(self, [list(filter(self.fits, self.encode(rows))) for rows in sets], biased)

    def adapt(self, recipe: Recipe, *, seed: int) -> None:
        """Choose the parameters that train: a recipe's, and no others."""
        self.model = adapt.adapt(self.model, recipe, seed=seed)

    def layer_logprobs(self, chats: Sequence[Messages]) -> Tensor:
        """Return what layers at several depths would say: mean log-probabilities, float32 [places, vocabulary]."""
        return lens.layer_logprobs(self, self.fitting_prompts(chats))

    @property
    def layers(self) -> tuple[int, ...]:
        """After how many layers `layer_logprobs` reads the state; the last is the output."""
        count = int(self.model.config.get_text_config().num_hidden_layers)
        return (*lens.places(count), count)

    def free(self, names: Sequence[str]) -> None:
        """Choose the parameters that train by their names."""
        own = self.parameters
        for name in names:
            own[name].requires_grad_()

    def save(self, folder: Path) -> None:
        """Write what training changed into a folder, from which `Weights.changes` puts it back."""
        adapt.save(self.model, self.trained, folder)

    def batches(self, rows: Sequence[Example]) -> Iterator[list[int]]:
        """Yield the places of rows in batches whose logits memory holds, those of the shortest rows first."""
        if self.large:
            return score.even_groups(self, rows, 0)
        return score.plain_groups(self, rows, sorted(range(len(rows)), key=lambda i: len(rows[i].ids)))

    # Functions of a model and rows, as they are: what each does stands there.
    fit = train.fit
    logits = train.logits
    labels = train.labels
    gradient = train.gradient
    traced = residual.traced
    stream = residual.stream

    @property
    def parameters(self) -> dict[str, Any]:
        """All parameters, by name."""
        return dict(self.model.named_parameters())

    @contextmanager
    def moved(self, direction: Direction, *, by: float) -> Iterator[None]:
        """Move parameters along a direction for as long as the context lasts, whatever happens in it."""
        import torch

        own = {name: self.model.get_parameter(name) for name in direction}
        # Kept, and not moved back: a sum less what was added need not be what it was, in the last bit.
        start = {name: p.detach().clone() for name, p in own.items()}
        with torch.no_grad():
            try:
                for name, change in direction.items():
                    own[name].add_(change.to(self.device), alpha=by)
                yield
            finally:
                for name, p in own.items():
                    p.copy_(start[name])
