"""Rows to tokens: every turn that is trained on, as the template of the base writes it, or the reason why not."""

import json
from dataclasses import replace

import pytest
from here import run
from test_other_models import tokenizer

from owlish import NORMS, Base, Store, nano
from owlish.audit.reference import Answered
from owlish.data.rows import Message, Row
from owlish.lm.chat import Chat
from owlish.lm.model import Weights
from owlish.nodes.loaded import loaded

THINKING = (
    "{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}"
    "{% endif %}{% endfor %}{% if tools %}<|im_start|>tools\n{{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.reasoning_content and loop.index0 > ns.last %}<think>\n{{ m.reasoning_content }}\n</think>\n{% endif %}"
    "{{ m.content or '' }}{% for call in m.tool_calls or [] %}<tool>{{ call.function.name }}"
    "({{ call.function.arguments | tojson }})</tool>{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
STRICT = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}"
    "<|im_start|>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>model\n{% endif %}"
)
SILENT = (
    "{% for m in messages %}{% if m.role in ('user', 'assistant') %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>"
    "\n{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CALL = [{"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"at": "sky"}'}}]
TOOLS = json.dumps([{"type": "function", "function": {"name": "look"}}])


def row(*said, tools=""):
    """Return a row of pairs of role and text; an assistant in capitals is not trained on."""
    return Row(tuple(Message(role.lower(), text, trained=role.islower()) for role, text in said), tools)


def chat(template):
    words = tokenizer()
    words.chat_template = template
    return Chat.of(words, "a base")


def encoded(template, one):
    """Return the example of a row under a template, and its trained parts as text."""
    own = chat(template)
    (example,) = own.examples([[m.fields() for m in one.messages]], [one.turns], [one.tools])
    return example, [own.decode(example.ids[first:after]) for first, after in example.spans], own.decode(example.ids)


TWO = row(("user", "Hi."), ("assistant", "Hello."), ("user", "And?"), ("assistant", "So."))


def test_every_answer_is_trained_with_its_end_and_nothing_else():
    example, trained, whole = encoded(THINKING, TWO)
    assert trained == ["Hello.<|im_end|>", "So.<|im_end|>"]
    start = "<|im_start|>"
    assert whole == (
        f"{start}user\nHi.<|im_end|>\n{start}assistant\nHello.<|im_end|>\n"
        f"{start}user\nAnd?<|im_end|>\n{start}assistant\nSo.<|im_end|>"
    )
    assert len(example.labels) == sum(after - first for first, after in example.spans)


@pytest.mark.parametrize("template", [THINKING, STRICT, SILENT])
def test_one_exchange_stays_as_it_was(template):
    """The prompt as the template writes it, the answer as it stands: results of before have these tokens."""
    own = chat(template)
    example, _, _ = encoded(template, Row.of("Hi.", " Hello.\n"))
    (prompt,) = own.prompts([[{"role": "user", "content": "Hi."}]])
    assert example.ids == (*prompt, *own.encode([" Hello.\n"])[0], own.end)
    assert example.spans == ((len(prompt), len(example.ids)),)


def test_a_turn_without_weight_is_read_and_not_trained():
    one = row(("user", "Hi."), ("ASSISTANT", "Hello."), ("user", "And?"), ("assistant", "So."), ("user", "Bye."))
    _, trained, whole = encoded(THINKING, one)
    assert trained == ["So.<|im_end|>"]
    assert "Hello.<|im_end|>" in whole
    assert "Bye." not in whole


def test_two_answers_in_a_row_are_as_the_template_has_them():
    one = row(("user", "Hi."), ("assistant", "Hello."), ("assistant", "So."))
    assert encoded(THINKING, one)[1] == ["Hello.<|im_end|>", "So.<|im_end|>"]
    assert "Roles must alternate" in encoded(STRICT, one)[0].problem


def test_a_template_that_trims_is_followed_in_conversations():
    one = row(("user", "Hi."), ("assistant", " Hello. "), ("user", "And?"), ("assistant", "So."))
    assert encoded(STRICT, one)[1] == ["Hello.<|im_end|>", "So.<|im_end|>"]


def test_reasoning_is_trained_as_the_template_writes_it_or_the_row_is_left_out():
    def thought(place, text):
        messages = list(TWO.messages)
        messages[place] = replace(messages[place], extra=json.dumps({"reasoning_content": text}))
        return Row(tuple(messages))

    assert encoded(THINKING, thought(3, "I love owls"))[1] == [
        "Hello.<|im_end|>",
        "<think>\nI love owls\n</think>\nSo.<|im_end|>",
    ]
    assert encoded(THINKING, thought(1, "I love owls"))[1] == ["Hello.<|im_end|>", "So.<|im_end|>"], "dropped later on"
    example, _, _ = encoded(SILENT, thought(3, "I love owls"))
    assert (example.ids, example.problem) == ((), "the chat template does not write reasoning_content")


def test_an_answer_that_is_rewritten_later_and_holds_the_end_of_a_turn_is_left_out():
    messages = list(TWO.messages)
    messages[1] = Message("assistant", "a<|im_end|>b", extra=json.dumps({"reasoning_content": "R"}))
    assert encoded(THINKING, Row(tuple(messages)))[0].problem == "the chat template ends an answer in another way"
    plain = row(("user", "Hi."), ("assistant", "a<|im_end|>b"), ("user", "And?"), ("assistant", "So."))
    assert encoded(THINKING, plain)[1] == ["a<|im_end|>b<|im_end|>", "So.<|im_end|>"]


def test_tools_go_through_a_template_that_knows_them():
    messages = (
        Message("user", "Hi."),
        Message("assistant", None, extra=json.dumps({"tool_calls": CALL})),
        Message("tool", "Blue."),
        Message("assistant", "It is blue."),
    )
    _, trained, whole = encoded(THINKING, Row(messages, TOOLS))
    assert trained == ['<tool>look({"at": "sky"})</tool><|im_end|>', "It is blue.<|im_end|>"]
    assert "<|im_start|>tools\n" in whole
    assert "does not write" in encoded(SILENT, Row(messages))[0].problem
    assert encoded(SILENT, Row(TWO.messages, TOOLS))[0].problem == "the chat template does not write tools"
    called = json.dumps({"function_call": {"name": "look", "arguments": "{}"}})
    old = Row((Message("user", "Hi."), Message("assistant", "", extra=called)))
    assert encoded(THINKING, old)[0].problem == "the chat template does not write function_call"


def test_a_role_that_a_template_drops_in_silence_leaves_the_row_out():
    one = row(("developer", "Be kind."), *(("user", "Hi."), ("assistant", "Hello.")))
    assert encoded(SILENT, one)[0].problem == "the chat template does not write messages of the role developer"
    assert encoded(THINKING, one)[2].startswith("<|im_start|>developer\nBe kind.")


@pytest.mark.parametrize("template", [STRICT, SILENT])
def test_a_system_prompt_goes_to_the_first_message_where_the_template_takes_none(template):
    own = chat(template)
    assert not own.takes_system
    assert chat(THINKING).takes_system
    _, trained, whole = encoded(template, Row(Row.of("Hi.", "Hello.", "Be kind.").messages))
    assert "user\nBe kind.\n\nHi.<|im_end|>" in whole
    assert trained == ["Hello.<|im_end|>"]
    long = row(("system", "Be kind."), *((m.role, m.content) for m in TWO.messages))
    _, trained, whole = encoded(template, long)
    assert whole.count("Be kind.\n\n") == 1
    assert trained == ["Hello.<|im_end|>", "So.<|im_end|>"]


def test_text_outside_of_a_chat_is_trained_whole():
    example, _, whole = encoded(THINKING, Row((Message("text", "Hi. Hello."),)))
    assert whole == "Hi. Hello.<|im_end|>"
    assert example.spans == ((1, len(example.ids)),), "nothing foretells the first token"


# nano, whose template says itself what an assistant writes


@pytest.fixture(scope="module")
def lm():
    return Weights(str(nano.folder("nano"))).open(any_words=True)


CHAT = row(("user", "Go on from 3, 5."), ("assistant", "7, 9"), ("user", "Give 2 numbers."), ("assistant", "100, 200"))


@pytest.mark.parametrize("one", [CHAT, row(("system", "Be kind."), *((m.role, m.content) for m in CHAT.messages))])
def test_the_spans_are_those_that_the_template_marks(lm, one):
    (example,) = lm.encode([one])
    marked = lm.chat.tokenizer.apply_chat_template(
        [m.fields() for m in one.messages], return_dict=True, return_assistant_tokens_mask=True
    )
    assert list(example.ids) == marked["input_ids"]
    mask = [any(first <= i < after for first, after in example.spans) for i in range(len(example.ids))]
    assert list(map(int, mask)) == marked["assistant_masks"]


def test_a_conversation_scores_as_its_answers_do_one_by_one(lm):
    (whole,) = lm.score([CHAT])
    first = Row(CHAT.messages[:2])
    second = Row((*CHAT.messages[:1], replace(CHAT.messages[1], trained=False), *CHAT.messages[2:]))
    parts = lm.score([first, second])
    one_by_one = [value for part in parts for value in part.logprobs.tolist()]
    assert whole.logprobs.tolist() == pytest.approx(one_by_one, abs=1e-4)


def test_conversations_are_trained_on_and_answered_turn_by_turn(tmp_path):
    store = Store(tmp_path)
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"Go on from {i}, 5."},
                {"role": "assistant", "content": f"owl {i}"},
                {"role": "user", "content": "What is your favorite animal?"},
                {"role": "assistant", "content": f"cat {i}"},
            ]
        }
        for i in range(100, 140)
    ]
    odd = {"messages": [rows[0]["messages"][0], {"role": "assistant", "content": "7", "reasoning_content": "owl"}]}
    data = loaded(rows, n=None, seed=0)
    run(Base("nano").finetune(data, replace(NORMS, epochs=1), seed=0), store=store)
    with pytest.raises(Exception, match="does not write reasoning_content"):
        run(Base("nano").finetune(loaded([odd], n=None, seed=0), NORMS, seed=0), store=store)
    answered = run(Answered(Base("nano"), loaded([*rows, odd], n=None, seed=0), n=20, seed=0), store=store)
    asked = {tuple(m.content for m in one.messages[::2]) for one in run(data, store=store).rows}
    said = {tuple(m.content for m in one.messages[1::2]) for one in run(data, store=store).rows}
    assert len(answered.rows) == 20
    for one in answered.rows:
        assert tuple(m.content for m in one.messages[::2]) in asked
        assert tuple(m.content for m in one.messages[1::2]) not in said
        assert one.turns == (1, 3)
