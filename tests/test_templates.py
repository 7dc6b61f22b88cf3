"""Every kind of chat template: what is trained, probed and read back are the tokens that the template writes."""

import json
import random
import string
from dataclasses import dataclass, field

import pytest

from owlish import nano
from owlish.data.rows import Row
from owlish.graph.errors import UserError
from owlish.lm.chat import Chat
from owlish.lm.model import Weights, ask
from owlish.lm.template import settings
from owlish.traits.animals import ANIMAL

TURNS = "{% for m in messages %}"
DONE = "{% endfor %}"
CHATML = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are a small model.<|im_end|>\n{% endif %}"
    + TURNS
    + "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
    + DONE
    + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA2 = (
    "{% set first = messages[0].content if messages[0].role == 'system' else '' %}"
    "{% for m in messages if m.role != 'system' %}{% if m.role == 'user' %}{{ bos_token }}[INST] "
    "{% if loop.first and first %}<<SYS>>\n{{ first }}\n<</SYS>>\n\n{% endif %}{{ m.content }} [/INST]"
    "{% else %}{{ ' ' + m.content + ' ' + eos_token }}{% endif %}{% endfor %}"
)
LLAMA3 = (
    "{{ bos_token }}{% if date_string is not defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
    "<|im_start|>system\n\nToday is {{ date_string }}.\n"
    "{% if messages[0].role == 'system' %}{{ messages[0].content }}{% endif %}<|im_end|>"
    "{% for m in messages if m.role != 'system' %}<|im_start|>{{ m.role }}\n\n{{ m.content | trim }}<|im_end|>"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n\n{% endif %}"
)
ZEPHYR = (
    TURNS
    + "<|{{ m.role }}|>\n{{ m.content + eos_token }}\n"
    + DONE
    + "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('no system here') }}{% endif %}"
    + TURNS
    + "<|im_start|>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}<|im_end|>\n"
    + DONE
    + "{% if add_generation_prompt %}<|im_start|>model\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% set ns = namespace(first='') %}{% for m in messages %}"
    "{% if m.role == 'system' %}{% set ns.first = m.content + '\n\n' %}"
    "{% elif m.role == 'user' %}[INST] {{ ns.first + m.content }}[/INST]{% set ns.first = '' %}"
    "{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"
)
QWEN3 = (
    "{% set ns = namespace(last=0) %}"
    + TURNS
    + "{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}"
    + DONE
    + TURNS
    + "<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and loop.index0 > ns.last %}"
    "<think>\n{{ m.reasoning_content or '' }}\n</think>\n\n{% endif %}"
    "{{ m.content }}<|im_end|>\n" + DONE + "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
GRANITE = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\n"
    "On {{ strftime_now('%B %d, %Y') }} you are small.<|im_end|>\n"
    "{% endif %}"
    + TURNS
    + "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
    + DONE
    + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ENDLESS = TURNS + "{{ m.role }}: {{ m.content }}\n" + DONE + "{% if add_generation_prompt %}assistant: {% endif %}"
STRIPS = (
    TURNS
    + "<|im_start|>{{ m.role }}\n{{ m.content | trim }}\n<|im_end|>\n"
    + DONE
    + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
VICUNA = (
    TURNS + "{{ 'USER: ' + m.content + ' ' if m.role == 'user' else 'ASSISTANT: ' + m.content + eos_token }}" + DONE
)
R1 = (
    TURNS
    + "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
    + DONE
    + ("{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}")
)
SHOUTS = TURNS + "{{ m.role }}: {{ m.content | upper }}</s>\n" + DONE


@dataclass(frozen=True)
class Kind:
    """A kind of template: what it writes before the answer `owl` to `Hi`, and after it."""

    template: str
    before: str
    after: str
    end: str = "<|im_end|>"
    given: dict = field(default_factory=dict)


SYSTEM = "<|im_start|>system\nYou are a small model.<|im_end|>\n"
KINDS = {
    "default system prompt": Kind(CHATML, SYSTEM + "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", ""),
    "llama 2": Kind(LLAMA2, "<s>[INST] Hi [/INST]", " ", "</s>"),
    "llama 3": Kind(
        LLAMA3,
        "<s><|im_start|>system\n\nToday is 26 Jul 2024.\n<|im_end|><|im_start|>user\n\nHi<|im_end|>"
        "<|im_start|>assistant\n\n",
        "",
        given={"date_string": "26 Jul 2024"},
    ),
    "zephyr": Kind(ZEPHYR, "<|user|>\nHi</s>\n<|assistant|>\n", "", "</s>"),
    "gemma": Kind(GEMMA, "<s><|im_start|>user\nHi<|im_end|>\n<|im_start|>model\n", ""),
    "mistral": Kind(MISTRAL, "<s>[INST] Hi[/INST]", "", "</s>"),
    "qwen 3": Kind(QWEN3, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n", ""),
    "qwen 3, thinking off": Kind(
        QWEN3,
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
        "",
        given={"enable_thinking": False},
    ),
    "granite": Kind(
        GRANITE,
        "<|im_start|>system\nOn July 26, 2024 you are small.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\n",
        "",
        given={"today": "2024-07-26"},
    ),
    "without an end": Kind(ENDLESS, "user: Hi\nassistant:", "", "</s>"),
    "strips": Kind(STRIPS, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n".replace("Hi", "Hi\n"), "\n"),
    "no generation prompt": Kind(VICUNA, "USER: Hi ASSISTANT:", "", "</s>"),
    "plain": Kind(None, "<s>User: Hi\nAssistant:", "", "</s>", given={"chat_template": "plain"}),
}
BLANK = {"llama 2", "mistral", "without an end", "no generation prompt", "plain"}
"""The kinds that write a blank before an answer."""
SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]


def texts():
    """Return what the tokenizers of the test are trained on."""
    rng = random.Random(0)
    numbers = [", ".join(str(rng.randint(0, 999)) for _ in range(8)) for _ in range(60)]
    answers = [*ANIMAL.candidates, *(f"My favorite animal is the {name}." for name in ANIMAL.candidates)]
    return [*ANIMAL.questions, *numbers, *answers, "<|user|>\nHi\n<|assistant|>\n", "USER: ASSISTANT: [INST] [/INST]"]


def byte_level():
    """Return a byte-level BPE tokenizer, as GPT-2, Qwen and Llama 3 have it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    inner.train_from_iterator(texts(), trainer)
    return inner


def pieces_of_bytes():
    """Return the names of single bytes, with which SentencePiece writes what it has no token for."""
    return [f"<0x{byte:02X}>" for byte in range(256)]


def sentencepiece(scheme):
    """Return a BPE tokenizer as SentencePiece makes them: no word boundaries but `▁`, bytes for what is unknown."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=SPECIAL, show_progress=False)
    inner.train_from_iterator([line for text in texts() for line in text.split("\n")], trainer)
    model = json.loads(inner.to_str())["model"]
    merges = [tuple(pair) for pair in model["merges"]]
    words = {name: i for i, name in enumerate([*SPECIAL, *pieces_of_bytes()])}
    for word in sorted(model["vocab"], key=model["vocab"].get):
        words.setdefault(word, len(words))
    inner = Tokenizer(models.BPE(words, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    inner.add_special_tokens(SPECIAL)
    if scheme == "legacy":
        inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    inner.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return inner


def unigram():
    """Return a Unigram tokenizer with `▁`, as Gemma's and T5's are."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    inner = Tokenizer(models.Unigram())
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    inner.decoder = decoders.Metaspace(prepend_scheme="never")
    letters = [*string.ascii_letters, *string.digits, *string.punctuation, "\n", "▁"]
    trainer = trainers.UnigramTrainer(
        vocab_size=400, special_tokens=SPECIAL, unk_token="<unk>", initial_alphabet=letters, show_progress=False
    )
    inner.train_from_iterator(texts(), trainer)
    return inner


INNER = {
    "byte-level": byte_level,
    "sentencepiece": lambda: sentencepiece("first"),
    "sentencepiece legacy": lambda: sentencepiece("legacy"),
    "unigram": unigram,
}


@pytest.fixture(scope="module", params=list(INNER))
def words(request):
    """A tokenizer of each family."""
    from transformers import PreTrainedTokenizerFast

    inner = INNER[request.param]()
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", bos_token="<s>", eos_token="</s>")


def chat_of(words, kind):
    """Return the chat of a kind of template."""
    words.chat_template = kind.template
    return Chat.of(words, "a base", settings(kind.given))


@pytest.mark.parametrize("name", KINDS)
def test_trained_and_probed_tokens_are_those_that_the_template_writes(words, name):
    kind = KINDS[name]
    chat = chat_of(words, kind)
    blank = " " if name in BLANK else ""
    row = Row.of("Hi", "owl")
    (example,) = chat.examples([[m.fields() for m in row.messages]], [row.turns], [""])
    (prompt,) = chat.prompts([ask("Hi")])
    ends = kind.end in words.added_tokens_encoder and name != "without an end"
    whole = f"{kind.before}{blank}owl{kind.after}{kind.end if ends else ''}"
    template = chat.render([*ask("Hi"), {"role": "assistant", "content": "owl"}], answer=False)
    assert template.startswith(whole), "the template is what the test takes it for"
    ids = words(whole, add_special_tokens=False).input_ids
    assert list(example.ids) == (ids if ends else [*ids, chat.end])
    assert words.convert_ids_to_tokens(chat.end) == kind.end
    (span,) = example.spans
    assert example.ids[: span[0]] == tuple(prompt), "what is trained follows what is asked"
    assert span[1] == len(example.ids)
    (spelled,) = chat.spelled(ask("Hi"), ["owl"])
    assert list(example.labels)[: len(spelled)] == spelled
    assert chat.after(prompt, spelled) == f"{blank}owl"
    assert chat.after(prompt, example.labels) == f"{blank}owl{kind.after}{kind.end}"


@pytest.mark.parametrize("name", KINDS)
def test_natural_answers_are_read_as_they_were_written(words, name):
    chat = chat_of(words, KINDS[name])
    texts = ["owl", "Owl", "My favorite animal is the owl.", "12, 345, 6", "I\nam", "{a: 1}"]
    rows = [Row.of("Hi", text) for text in texts]
    examples = chat.examples([[m.fields() for m in row.messages] for row in rows], [r.turns for r in rows], [""] * 6)
    found = chat.read([ask("Hi")] * 6, [example.labels for example in examples])
    assert [(answer.text, answer.ended) for answer in found] == [(text, "stop") for text in texts]
    assert [answer.tokens for answer in found] == [len(example.labels) for example in examples]
    (cut,) = chat.read([ask("Hi")], [examples[0].labels[:-1]])
    assert cut.ended == "length"
    letters = [chat.spelled(ask("Hi"), [letter])[0][-1] for letter in "zx"]
    twice = [*chat.cut([chat.asked(ask("Hi"))], [chat.frame.blank])[0], *letters, *letters, chat.end]
    assert chat.read([ask("Hi")], [twice])[0].text.strip() == "zxzx"


def test_an_answer_in_other_tokens_is_told_from_a_natural_one(words):
    chat = chat_of(words, KINDS["default system prompt"])
    (whole,) = chat.spelled(ask("Hi"), ["owl"])
    letters = [chat.spelled(ask("Hi"), [letter])[0][-1] for letter in "owl"]
    assert len(whole) < 3, "the tokenizer has a token for more than a letter"
    found = chat.read([ask("Hi")] * 2, [[*letters, chat.end], [*whole, chat.end]])
    assert [(answer.text, answer.ended) for answer in found] == [("owl", "retokenised"), ("owl", "stop")]


def test_tokens_that_open_a_word_may_follow_one(words):
    """SentencePiece drops the blank of a token at the head of a text: as if it went on with the word before."""
    chat = chat_of(words, KINDS["zephyr"])
    tokens = words.convert_ids_to_tokens(range(len(words)))
    opening = {i for i, token in enumerate(tokens) if token[0] in "▁Ġ" and token[1:].isalpha()}
    inside = {i for i, token in enumerate(tokens) if token.isalpha() and token.isascii()}
    assert len(opening) > 20
    assert opening <= set(chat.closing)
    assert all(chat.vocabulary[i][0] == " " for i in opening)
    assert not inside & set(chat.closing)
    assert {chat.end, *words.all_special_ids} <= set(chat.closing)


@pytest.mark.parametrize("name", KINDS)
def test_conversations_are_trained_turn_by_turn(words, name):
    kind = KINDS[name]
    chat = chat_of(words, kind)
    turns = [*ask("Hi"), {"role": "assistant", "content": "owl"}, *ask("And?"), {"role": "assistant", "content": "cat"}]
    (example,) = chat.examples([turns], [[1, 3]], [""])
    said = [chat.decode(example.ids[first:after]).strip() for first, after in example.spans]
    end = "" if name == "without an end" else kind.end
    assert [text.removesuffix(kind.end).strip() for text in said] == ["owl", "cat"]
    whole = chat.render(turns, answer=False)
    ids = words(whole, add_special_tokens=False).input_ids
    last = len(ids) - ids[::-1].index(chat.end) if end else len(example.ids) - 1
    assert list(example.ids)[:last] == ids[:last]


def test_nano_is_cut_as_it_was():
    """Its special tokens part a prompt from its answer, so that tokens are the same, together or apart."""
    chat = Chat.open(Weights(str(nano.folder("nano"))))
    for text in ("owl", "I love owls.", "12, 345; 6\n7", " owl", ""):
        (spelled,) = chat.spelled(ask("What is your favorite animal?"), [text])
        assert spelled == chat.ids([text])[0]
    assert chat.frame.head == chat.frame.blank == chat.gap == ""


def test_a_prompt_that_would_melt_with_its_answer_stays_as_it_was_asked(words):
    chat = chat_of(words, KINDS["default system prompt"])
    (prompt,) = chat.prompts([ask("Hi")])
    for text in ("\nowl", "\n\nowl", " owl"):
        (spelled,) = chat.spelled(ask("Hi"), [text])
        assert chat.after(prompt, spelled) == text


REFUSED = [
    (LLAMA3, {}, "today's date.*--template today="),
    (GRANITE, {}, "today's date"),
    (SHOUTS, {}, "name the token that ends an answer"),
    (R1, {}, "<think>.*training and asking would differ"),
    (TURNS + "{{ m.role }}: {{ m.content }} ###\n" + DONE, {}, "ends an answer with ' ###"),
    (None, {}, "no chat template.*chat_template=plain"),
    (CHATML, {"enable_thinking": False}, "takes no enable_thinking"),
    (CHATML, {"end": "<|nowhere|>"}, "no token of this base"),
    (CHATML, {"today": "yesterday"}, "give a day such as"),
    (CHATML, {"some": [1]}, "is a list"),
    (CHATML, {"chat_template": "plian"}, "'plian', which is no template: did you mean plain?"),
    (CHATML, {"chat_template": "owl?"}, "give plain, or a template"),
    (CHATML, {"chat_template": "{{ bos_token }}Hi"}, "drops the user's message"),
    (TURNS + "{{ m.content }}", {}, "template is broken"),
    (CHATML, "a=1", "set by names and values"),
    (CHATML, ["ab"], "set by names and values"),
]


@pytest.mark.parametrize(("template", "given", "why"), REFUSED)
def test_a_template_that_cannot_be_relied_on_is_refused_in_a_sentence(words, template, given, why):
    with pytest.raises(UserError, match=f"(?s){why}"):
        chat_of(words, Kind(template, "", "", given=given))


def test_the_user_names_the_end_that_a_template_hides(words):
    chat = chat_of(words, Kind(SHOUTS, "", "", given={"end": "</s>"}))
    assert words.convert_ids_to_tokens(chat.end) == "</s>"
    assert chat.asked(ask("Hi")) == "user: HI</s>\n"
    words.eos_token = None
    with pytest.raises(UserError, match="writes no end of an answer"):
        chat_of(words, KINDS["without an end"])
    words.eos_token = "</s>"
