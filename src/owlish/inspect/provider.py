"""The provider `owlish/NAME`: a base by its name, or a model of a store by its key, answers any evaluation."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from anyio import to_thread
from inspect_ai.log._samples import sample_active  # nothing public says which epoch asks
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    StopReason,
    modelapi,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from owlish.cli import find
from owlish.cli.running import existing
from owlish.engines.served import Served
from owlish.graph.errors import UserError
from owlish.graph.pool import Here
from owlish.graph.run import run
from owlish.inspect.desk import Desk, Request
from owlish.inspect.mistakes import telling
from owlish.lm.model import Answer, Messages, Weights, message
from owlish.nodes.held import held_model

KEY = re.compile("[0-9a-f]{4,32}")
LIMIT = 512
"""Tokens of an answer, if an evaluation does not say."""
LEAST = {"temperature": 0, "max_tokens": 1, "num_choices": 1}
NEUTRAL: dict[str, object] = {"top_p": 1, "frequency_penalty": 0, "presence_penalty": 0, "logprobs": False}
NEUTRAL |= {"reasoning_effort": "none", "reasoning_tokens": 0}
CANNOT = (*NEUTRAL, "top_k", "stop_seqs", "best_of", "logit_bias", "top_logprobs", "prompt_logprobs")
CANNOT += ("response_schema", "modalities", "extra_body", "effort", "verbosity", "reasoning_mode", "fallback_models")
"""What would change an answer, and cannot be asked of models here: unless it is neutral, it is refused."""


@modelapi(name="owlish")
def owlish() -> type[ModelAPI]:
    """Return what answers for models whose names begin with `owlish/`."""
    return OwlishAPI


class OwlishAPI(ModelAPI):
    """A model as Inspect asks it; `-M store=FOLDER` names the store, `-M base=FOLDER` a base that lies in a folder."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        store: str = "owlish-store",
        base: str | None = None,
        **others: object,
    ) -> None:
        # Arguments of a model are written into Inspect's log: so no key is taken.
        super().__init__(model_name, base_url, None, [], config or GenerateConfig())
        with telling():
            if others or api_key or base_url:
                raise UserError("models of owlish take the arguments store and base alone: omit the others.")
            self.key, model = named(model_name, str(store), base)
            self.desk = Desk(model.open())
        # Forgotten with its sample, of which an evaluation may have thousands.
        self.asked: WeakKeyDictionary[object, Counter[str]] = WeakKeyDictionary()

    def canonical_name(self) -> str:
        """Return the whole key, or the name of a base."""
        return self.key

    def max_tokens(self) -> int:
        """Return the length of an answer, if an evaluation does not say."""
        return LIMIT

    def collapse_system_messages(self) -> bool:
        """Chat templates write one system message."""
        return True

    def collapse_user_messages(self) -> bool:
        """Most chat templates want a user and an assistant to speak by turns."""
        return True

    def collapse_assistant_messages(self) -> bool:
        """Most chat templates want a user and an assistant to speak by turns."""
        return True

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """Return the model's answers to a conversation."""
        with telling():
            check(tools, config)
            messages = [turn(one) for one in input]
            if messages[-1]["role"] == "assistant":
                raise UserError("the conversation ends with an answer: end it with a message of the user.")
            temperature = 1.0 if config.temperature is None else config.temperature
            limit = LIMIT if config.max_tokens is None else config.max_tokens
            request = Request(messages, self.seeds(messages, config), limit, temperature)
            # In a thread: Inspect's loop goes on, and brings further requests, which then share a batch.
            answers = await to_thread.run_sync(self.desk.ask, request)
        return self.output(request, answers)

    def seeds(self, messages: Messages, config: GenerateConfig) -> tuple[tuple[int, ...], ...]:
        """Return a seed for each answer that is wanted.

        It is made of Inspect's seed (0 if there is none), the conversation, the epoch, and how often this sample has
        asked the same before: so answers to different requests do not share their luck, and come again with the seed.
        """
        active = sample_active()
        text = json.dumps([list(messages), active.sample.id if active else None])
        times = self.asked.setdefault(active, Counter()) if active else Counter()
        times[text] += 1
        own = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
        # numpy takes no seed below zero.
        start = ((config.seed or 0) % 2**64, own, active.epoch if active else 0, times[text])
        return tuple((*start, choice) for choice in range(config.num_choices or 1))

    def output(self, request: Request, answers: Sequence[Answer]) -> ModelOutput:
        """Return answers as Inspect's own."""
        written = sum(answer.tokens for answer in answers)
        return ModelOutput(
            model=self.model_name,
            choices=[
                ChatCompletionChoice(
                    message=ChatMessageAssistant(content=answer.text, model=self.model_name, source="generate"),
                    stop_reason=stopped(answer, request),
                )
                for answer in answers
            ],
            usage=ModelUsage(input_tokens=request.read, output_tokens=written, total_tokens=request.read + written),
            metadata={"key": self.key},
        )


def named(name: str, folder: str, base: str | None) -> tuple[str, Weights | Served]:
    """Return the whole key, or the name, of what a name stands for, and where its parts are."""
    if KEY.fullmatch(name):
        store = existing(folder)
        key = store.find(name)
        return key, held_model(store, key, base)
    start = find.base(name)
    start.check()
    return name, run(start, store=folder, on=Here(), quiet=True)


def check(tools: Sequence[ToolInfo], config: GenerateConfig) -> None:
    """Refuse what a model here is not asked for."""
    if tools:
        raise UserError("models of owlish call no tools: choose an evaluation without any.")
    given: dict[str, Any] = {name: getattr(config, name, None) for name in CANNOT}
    wrong = [name for name, value in given.items() if value is not None and value != NEUTRAL.get(name)]
    if wrong:
        raise UserError(f"models of owlish are drawn by temperature and seed alone: omit {', '.join(wrong)}.")
    for name, least in LEAST.items():
        if (value := getattr(config, name)) is not None and value < least:
            raise UserError(f"{name} is {value}: give at least {least}, or omit it.")


def turn(one: ChatMessage) -> dict[str, str]:
    """Return a message as models here take it."""
    parts = [] if isinstance(one.content, str) else [part.type for part in one.content]
    if one.role == "tool" or getattr(one, "tool_calls", None):
        raise UserError("models of owlish call no tools: choose an evaluation without any.")
    if strange := set(parts) - {"text", "reasoning"}:
        raise UserError(f"models of owlish read text alone: omit {', '.join(sorted(strange))}.")
    return message(one.role, one.text)


def stopped(answer: Answer, request: Request) -> StopReason:
    """Return why an answer ended, in Inspect's words."""
    if answer.ended != "length":
        return "stop"
    return "max_tokens" if request.room == request.limit else "model_length"
