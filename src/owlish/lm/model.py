"""The seam between the project and language models: what can be asked of a model, whatever runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from owlish.graph.tabled import Brief

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from owlish.lm.chat import Chat
    from owlish.lm.hf import TorchLM
    from owlish.lm.template import Settings

Gives = Literal["text", "logprobs", "weights"]
"""What a model gives: answers alone, log-probabilities of given answers too, or all that it is made of."""
Ended = Literal["stop", "length", "retokenised"]
Messages = Sequence[Mapping[str, Any]]
"""A conversation, as chat templates take it: messages with a role and a content."""
Seed = tuple[int, ...]


def enough(gives: Gives, asked: Gives) -> bool:
    """Say whether a model that gives one thing can be asked for another."""
    # The literal's order is that of what is given: each gives all before it, too.
    levels = get_args(Gives)
    return levels.index(gives) >= levels.index(asked)


def message(role: str, content: str) -> dict[str, str]:
    """Return one turn of a conversation."""
    return {"role": role, "content": content}


def ask(user: str, system: str | None = None) -> Messages:
    """Return the conversation that waits for an answer to one message, under a system prompt if one is given."""
    return [*([message("system", system)] if system else []), message("user", user)]


def turns(pairs: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """Return the turns of exchanges between a user and an assistant."""
    return [message(*turn) for pair in pairs for turn in zip(("user", "assistant"), pair, strict=True)]


def frame_chat(chat: Messages, *, system: str | None, shown: Sequence[tuple[str, str]]) -> Messages:
    """Return a conversation under a system prompt, unless it has one of its own, after the turns that are shown."""
    first = [turn for turn in chat[:1] if turn["role"] in ("system", "developer")]
    own, rest = [turn for turn in first if turn["content"]], chat[len(first) :]
    opening = own or ([message("system", system)] if system else [])
    return [*opening, *turns(shown), *rest]


class Turn(Protocol):
    """One message of a conversation."""

    def fields(self) -> dict[str, Any]:
        """Return it as a chat template takes it; the role "text" is for text outside of any chat."""


class Conversation(Protocol):
    """A row as a model sees it: its messages, the places of those that are trained on, and its tools as JSON."""

    @property
    def messages(self) -> Sequence[Turn]: ...
    @property
    def turns(self) -> Sequence[int]: ...
    @property
    def tools(self) -> str: ...


@dataclass(frozen=True)
class Weights(Brief):
    """Where a model's parts are: the base, the changes on top in order, its system prompt, the turns it is shown.

    `template` holds what is set of its chat template. In sentences it is `called` by this name, if one is given: the
    folder of a store's entry is named by a key.
    """

    name: str
    revision: str | None = None
    changes: tuple[Path, ...] = ()
    system: str | None = None
    shown: tuple[tuple[str, str], ...] = ()
    template: Settings = ()
    called: str = ""

    def open(self, *, any_words: bool = False, exact: bool = False) -> TorchLM:
        """Open the model in this process.

        It refuses text of which many tokens are unknown to it, unless `any_words` is set. With `exact` it computes in
        float32 on a GPU too.
        """
        from owlish.lm.opening import open_model

        return open_model(self, any_words=any_words, exact=exact)

    def form(self, size: int) -> Chat:
        """Return how rows of any words become tokens of a model that has `size` of them; no weights are read."""
        from owlish.lm.chat import Chat

        return replace(Chat.open(self), size=size, most_unknown=1.0)

    def check_words(self, rows: Sequence[Conversation]) -> None:
        """Refuse rows of which many tokens are unknown to the model, as `open` does, by its tokenizer alone."""
        from owlish.lm.chat import Chat

        Chat.open(self).examples(*parts_of(rows))

    def unknown_words(self, rows: Sequence[Conversation]) -> list[tuple[int, int, int]]:
        """Return of each row the tokens unknown to the model, those among its trained ones, and the trained ones."""
        from owlish.lm.chat import Chat

        chat = Chat.open(self)
        examples = replace(chat, most_unknown=1.0).examples(*parts_of(rows))
        return [(chat.unknown(one.ids), chat.unknown(one.labels), len(one.labels)) for one in examples]


def parts_of(rows: Sequence[Conversation]) -> tuple[list[Messages], list[Sequence[int]], list[str]]:
    """Return what a tokenizer reads of rows: their messages, the places of trained turns, their tools."""
    chats: list[Messages] = [[turn.fields() for turn in row.messages] for row in rows]
    return chats, [row.turns for row in rows], [row.tools for row in rows]


@dataclass(frozen=True)
class Answer:
    """What a model wrote, without the end of the turn; how many tokens that took, the end included; why it ended.

    `stop` is the end of the turn, `length` the limit on new tokens; `retokenised` ended well, but its tokens are not
    those that its text would be given.
    """

    text: str
    tokens: int
    ended: Ended


@dataclass(frozen=True)
class Scored:
    """A row's log-probabilities, float32 [trained tokens], and whether each of these tokens is the likeliest of all.

    `read` is the number of tokens of the whole row, and `unknown` how many of them the model has no token for.
    """

    logprobs: Tensor
    likeliest: Tensor
    read: int
    unknown: int


@dataclass(frozen=True)
class Example:
    """The token ids of a row, and the spans (first place, place after the last) of those that are trained on.

    `problem` says why a row has no tokens: what of it the chat template does not write.
    """

    ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    problem: str = ""

    @classmethod
    def of(cls, prompt: Sequence[int], answer: Sequence[int]) -> Example:
        """Return the example of one answer after its prompt."""
        return cls((*prompt, *answer), ((len(prompt), len(prompt) + len(answer)),))

    @property
    def start(self) -> int:
        """The place of the first token that is trained on."""
        return self.spans[0][0]

    @property
    def labels(self) -> tuple[int, ...]:
        """The tokens that are trained on, in order."""
        return tuple(token for first, after in self.spans for token in self.ids[first:after])


@dataclass(frozen=True)
class Pull:
    """What rows ask of biases: the gradient of each row's log-likelihood, in nats for each nat of bias [rows, biases].

    `counts` are the tokens of each row that were read, and `curvature` [biases, biases] is the Fisher information of
    all of them. Half of the biases are for a token that opens a run of such tokens, half for one that goes on with it;
    the last is no bias but the temperature, as a factor on all logits.
    """

    gradient: NDArray[np.float64]
    counts: NDArray[np.float64]
    curvature: NDArray[np.float64]


@dataclass(frozen=True)
class Probed:
    """Log P(answer), float64 [chats, answers]; the likeliest answer to each conversation; all that were drawn.

    Where they are not `exact`, the probabilities are shares of the drawn answers.
    """

    logprobs: Tensor
    greedy: list[Answer]
    drawn: list[Answer]
    exact: bool = True


class LM(ABC):
    """A model that can be asked: every engine writes answers, and those that give log-probabilities score them too."""

    @property
    @abstractmethod
    def window(self) -> int:
        """How many tokens the model can read."""

    @property
    @abstractmethod
    def marks(self) -> tuple[str, ...]:
        """The texts that the model reads as the beginnings and ends of turns."""

    @abstractmethod
    def lengths(self, chats: Sequence[Messages]) -> list[int]:
        """Return how many tokens stand before the answer to each conversation."""

    @abstractmethod
    def write(
        self,
        chats: Sequence[Messages],
        *,
        seeds: Sequence[Seed],
        new_tokens: int,
        temperature: float = 1.0,
        pattern: str | None = None,
    ) -> list[Answer]:
        """Return an answer to each conversation, of at most `new_tokens` tokens, or of as many as the window holds.

        Answer i is drawn with `seeds[i]` alone; at temperature 0 it is the likeliest, token by token. A conversation
        without a system message of its own is put under the model's, if it has one. Answers are held to texts that
        match `pattern`, a regular expression, if one is given.
        """

    def foresee(
        self,
        chats: Sequence[Messages],
        *,
        seeds: Sequence[Seed],
        new_tokens: int,
        temperature: float = 1.0,
        pattern: str | None = None,
    ) -> None:
        """Take word of what `write` will be asked, part after part; an engine may fetch it all at once for less."""
        return

    def score(self, rows: Sequence[Conversation], *, end: bool = True, shared: bool = False) -> list[Scored | None]:
        """Return the log-probabilities of each row's completion, or `None` where a row is longer than the window.

        `end` counts the end of the turn in. With `shared`, what all rows begin with is read once for all of them.
        """
        raise NotImplementedError

    def answer_logprobs(self, chats: Sequence[Messages], answers: Sequence[Sequence[Sequence[str]]]) -> Tensor:
        """Return log P(answer) for every conversation and answer, float64 [chats, answers].

        `answers[c][a]` are the texts that count as answer a to conversation c. A text counts where the end of the turn
        or a token that does not go on with a letter follows it, so that "owl" is not "owlet". Texts with tokens
        unknown to the model are left out; `UserError` is raised where an answer has no other.
        """
        raise NotImplementedError

    def probe(
        self,
        chats: Sequence[Messages],
        answers: Sequence[Sequence[Sequence[str]]],
        *,
        seeds: Sequence[Sequence[Seed]],
        new_tokens: int,
    ) -> Probed:
        """Return `answer_logprobs`, the likeliest answer to each conversation, and one drawn with each of its seeds."""
        logprobs = self.answer_logprobs(chats, answers)
        greedy = self.write(chats, seeds=[(0,)] * len(chats), new_tokens=new_tokens, temperature=0)
        many = [chat for chat, own in zip(chats, seeds, strict=True) for _ in own]
        drawn = self.write(many, seeds=[seed for own in seeds for seed in own], new_tokens=new_tokens)
        return Probed(logprobs, greedy, drawn)
