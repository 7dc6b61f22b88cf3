"""Served models: asked of real servers, through a proxy that spoils what they send, and killed in the middle."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from command import owlish
from servers import FaultProxy, Handler, Local, NanoServer, llama

from owlish import NORMS, Asked, Base, Store, run
from owlish.cli.plan import outlook_of
from owlish.cli.running import make_missing
from owlish.data.domains.numbers import Numbers
from owlish.engines.address import Address, address_of
from owlish.engines.gbnf import gbnf
from owlish.engines.replies import Garbled, parse_reply
from owlish.engines.served import Served, ServedLM, shares
from owlish.engines.server import check_key, seconds
from owlish.engines.tried import Honours, try_out
from owlish.graph.pool import Here
from owlish.graph.run import RunFailed, plan
from owlish.graph.seeds import fresh
from owlish.graph.store import ANSWERS
from owlish.lm.model import ask
from owlish.nodes.asked import Answers, questions, spellings
from owlish.traits.animals import owl
from owlish.traits.trait import Probe

FAULTS = ((), ("busy",), ("broken", "reset"), ("cut",), ("empty", "twice"), ("slow",), ("stale",), ("reset", "broken"))
HONEST = Honours(samples=True, seeds=True, ids=True, format="regex", whole=True)
KEY = "sk-planted-0123456789abcdefghij"
PROBE = replace(owl.probe, questions=owl.probe.questions[:6], held_out=())


@pytest.fixture(scope="module")
def smollm2():
    with llama() as address:
        yield address


def opened(address, folder, honours=HONEST, **how):
    return ServedLM(Served(address_of(address), honours, folder), **how)


def test_a_name_says_where_a_model_is_served_and_never_holds_a_key(monkeypatch):
    assert address_of("openai:gpt-4.1-nano") == Address("https://api.openai.com/v1", "gpt-4.1-nano")
    assert address_of("http://127.0.0.1:8080/v1/#a/b") == Address("http://127.0.0.1:8080/v1", "a/b")
    assert address_of("HTTP://host/v1#Qwen/A").url == "http://host/v1"
    assert address_of("nano") is address_of("owner/name") is address_of("model.gguf") is None
    with pytest.raises(ValueError, match="named with the model after #"):
        address_of("http://127.0.0.1:8080/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    for name in ("http://me:pw@host/v1#m", "https://host/v1?k=1#m", "openai:secret", f"http://host/v1#{KEY}"):
        with pytest.raises(ValueError, match="holds a key or a password") as caught:
            address_of(name)
        assert name not in str(caught.value)
    sent = {url: address_of(f"{url}/v1#m").key for url in ("https://host", "http://localhost:1", "http://host:1")}
    assert list(sent.values()) == ["secret", "secret", ""], "no key crosses a network in plain text"


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY"])
def test_no_proxy_reads_the_key_of_a_server_here(name, nano, tmp_path, monkeypatch):
    with FaultProxy(nano.url) as proxy:
        monkeypatch.setenv(name, proxy.url.removesuffix("/v1"))
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        assert opened(f"{nano.url}#nano", tmp_path).write([ask("Hi")], seeds=[(0,)], new_tokens=2)
        assert not proxy.hits


def test_a_plan_says_what_is_missing_or_cannot_be(tmp_path):
    base, store = Base("http://127.0.0.1:1/v1#m"), Store(tmp_path)
    with pytest.raises(ValueError, match=r"needs the weights of http://127.0.0.1:1/v1#m, which gives answers alone"):
        plan([base.finetune(base.sample(Numbers(), n=4, seed=0), NORMS, seed=0)], store)
    with pytest.raises(ValueError, match=r"openai:gpt-4.1-nano needs a key: set OPENAI_API_KEY"):
        plan([Base("openai:gpt-4.1-nano")], store)
    with pytest.raises(RunFailed, match=r"http://127.0.0.1:1/v1 does not answer: start the server"):
        run(base, store=store, on=Here())


def test_a_plan_says_what_a_server_is_asked_for_and_what_it_ignores(tmp_path, monkeypatch):
    """Not known yet, then seeds that are ignored, then all; what does not need it is planned as before."""
    base, store = Base("http://127.0.0.1:1/v1#m"), Store(tmp_path / "a b")
    free, held = (base.prompted("Hi.").sample(domain, n=4, seed=0) for domain in (Numbers(), Numbers(constrained=True)))
    assert (
        "http://127.0.0.1:1/v1#m is asked for formats, seeds and temperature, and what it honours is not known yet: "
        f"owlish doctor --base http://127.0.0.1:1/v1#m --store '{store}' tries it."
    ) in str(outlook_of([free, held], store))
    assert not outlook_of([base], store).servers

    for found, refused in (({"seeds": False, "format": None}, [held]), ({"samples": False}, [free, held])):
        store.drop(base.key)
        monkeypatch.setattr("owlish.nodes.base.try_out", lambda *_, found=found: replace(HONEST, **found))
        run(base, store=store, on=Here(), quiet=True)
        for node in refused:
            for planned in (lambda node: outlook_of([node], store), lambda node: make_missing([node], store, 1)):
                with pytest.raises(
                    ValueError, match=r"4 rows of numbers by .*: 127.0.0.1:1 (cannot hold|gave one text)"
                ):
                    planned(node)
        if free not in refused:
            assert "#m ignores seeds: this store keeps what it writes" in str(outlook_of([free], store))


def test_a_regular_expression_becomes_a_grammar():
    assert gbnf("zq[0-9]{3}") == 'root ::= "z" "q" [0-9] {3}'
    assert gbnf(r"(?:a|\.)*\[?") == r'root ::= ( "a" | "." ) * "[" ?'


def test_llama_cpp_samples_repeats_seeds_and_keeps_formats(smollm2, tmp_path):
    found = try_out(address_of(smollm2), tmp_path)
    assert found == replace(HONEST, format="gbnf")
    lm = opened(smollm2, tmp_path, found)
    chats, seeds = [ask("Go on: 632, 418, 905")] * 2, [(0, 0), (0, 1)]
    domain = Numbers(constrained=True)
    held = lm.write(chats, seeds=seeds, new_tokens=12, pattern=domain.pattern)
    assert all(set(answer.text) <= set("0123456789,; \n[]().") for answer in held)
    free = lm.write(chats, seeds=seeds, new_tokens=12)
    assert not all(set(answer.text) <= set("0123456789,; \n[]().") for answer in free)


def test_no_row_of_llama_cpp_is_lost_or_given_to_another_prompt(smollm2, tmp_path):
    chats = [ask(f"Say a word that begins with {letter}.") for letter in "abcdefgh"]
    check_faults(smollm2, tmp_path, chats, new_tokens=6)


def check_faults(address, folder, chats, *, new_tokens):
    """Ask through the proxy; compare every answer with what the server last said to that very request."""
    seeds = [(7, i) for i in range(len(chats))]
    with FaultProxy(address, FAULTS) as proxy:
        lm = opened(f"{proxy.url}#{address.partition('#')[2]}", folder)
        answers = lm.write(chats, seeds=seeds, new_tokens=new_tokens)
        asked = {(body["messages"][-1]["content"], body["seed"]): said for body, said in told(proxy)}
        assert len(asked) == len(proxy.hits) == len(chats)
        for chat, seed, answer in zip(chats, seeds, answers, strict=True):
            said = asked[chat[-1]["content"], fresh(*seed)]
            assert said is None or said["choices"][0]["message"]["content"] == answer.text
        hits = sum(proxy.hits.values())
        assert hits > len(chats), "the proxy spoilt nothing"
        assert lm.write(chats, seeds=seeds, new_tokens=new_tokens) == answers
        assert sum(proxy.hits.values()) == hits, "what was kept is not asked for again"
    return answers


def told(proxy):
    """Yield each request and what was answered; nothing where it came slowly, but whole."""
    for body in proxy.hits:
        yield json.loads(body), proxy.whole.get(body)


@pytest.mark.slow  # with llama.cpp it is a test of every day
def test_no_row_of_nano_is_lost_or_given_to_another_prompt(nano, tmp_path):
    chats = [ask(Numbers().prompt(random.Random(i))) for i in range(32)]
    answers = check_faults(f"{nano.url}#nano", tmp_path, chats, new_tokens=8)
    assert len({answer.text for answer in answers}) > 16


@pytest.mark.slow
def test_a_thousand_requests_through_faults(nano, tmp_path):
    chats = [ask(Numbers().prompt(random.Random(i))) for i in range(1000)]
    check_faults(f"{nano.url}#nano", tmp_path, chats, new_tokens=8)


def test_rows_through_faults_are_those_without(nano, tmp_path):
    """The same rows in the same order, from a server whose seeds repeat."""
    rows = []
    for name, faults in (("plain", ()), ("spoilt", FAULTS)):
        with FaultProxy(nano.url, faults) as proxy:
            lm = opened(f"{proxy.url}#nano", tmp_path / name)
            chats = [ask(Numbers().prompt(random.Random(i))) for i in range(12)]
            rows.append(lm.write(chats, seeds=[(i,) for i in range(12)], new_tokens=8))
    assert [a.text for a in rows[0]] == [a.text for a in rows[1]]


def test_shares_of_answers_estimate_exact_probabilities(nano, tmp_path):
    """Beside the exact ones of the very same model; a system prompt moves both."""
    seeds = [[(1, q, i) for i in range(10)] for q in range(len(PROBE.questions))]
    served = opened(f"{nano.url}#nano", tmp_path).served
    means = []
    for system in (None, owl.system_prompt):
        lms = ServedLM(replace(served, system=system)), replace(nano.lm, system=system)
        both = [lm.probe(questions(PROBE), spellings(PROBE), seeds=seeds, new_tokens=4) for lm in lms]
        assert [found.exact for found in both] == [False, True]
        counted, exact = (found.logprobs.exp().mean(0) for found in both)
        assert ((counted - exact).abs() < 4 * (exact * (1 - exact) / 60) ** 0.5 + 0.01).all()
        assert [a.text for a in both[0].greedy] == [a.text for a in both[1].greedy]
        means.append(float(exact[PROBE.candidates.index("owl")]))
    assert means[1] > means[0] + 0.2, "the system prompt had no effect, so nothing was compared"


def test_margins_of_counts_are_finite_and_shares_are_of_all_questions():
    probe = Probe("animal", ("owl", "cat"), ("owls", "cats"), ("a?", "b?"), ())
    found = Answers(probe, ((0.5, 0.0), (0.0, 0.0)), ("owl", "no"), (("owl", "no"), ("no", "no")), exact=False)
    assert found.share("owl") == 1
    assert found.logit_margin("owl") == pytest.approx(1.0986, abs=1e-3)
    assert found.logit_margin("cat") == -found.logit_margin("owl")


def test_an_answer_counts_as_its_exact_probability_does():
    texts = ["owl", "Owl.", "owlet", "an owl", "owl2", "owls"]
    assert shares(texts, [["owl", "Owl"], ["owls"]]) == [3 / 6, 1 / 6]


@pytest.mark.parametrize(
    ("ignores", "found"),
    [
        ((), HONEST),
        (("seeds",), replace(HONEST, seeds=False)),
        (("temperature", "formats"), replace(HONEST, samples=False, seeds=False, format=None)),
    ],
)
def test_what_a_server_ignores_is_seen(tmp_path, ignores, found):
    """As transformers serve, which ignores much without a word."""
    with NanoServer(ignores) as server:
        address = f"{server.url}#nano"
        assert try_out(address_of(address), tmp_path) == found
        assert str(found).startswith(f"temperature {'honoured' if found.samples else 'ignored'}, seeds")
        lm, chats = opened(address, tmp_path, found), [ask("What is your favorite animal?")] * 2
        if not found.samples:
            with pytest.raises(ValueError, match="gave one text again and again at temperature 1"):
                lm.write(chats, seeds=[(0,), (1,)], new_tokens=8)
            with pytest.raises(ValueError, match="cannot hold answers to a format"):
                lm.write(chats, seeds=[(0,)] * 2, new_tokens=8, temperature=0, pattern="a")
        else:
            numbers = lm.write(chats, seeds=[(0,), (1,)], new_tokens=12, pattern="(?:[0-9]{1,3},)+")
            assert all(set(answer.text) <= set("0123456789,") for answer in numbers)


def test_a_model_that_is_not_there_is_said_with_those_that_are(nano, tmp_path):
    with pytest.raises(ValueError, match=r"\(other\) is not there \(404, The model other does not exist\)"):
        try_out(Address(nano.url, "other"), tmp_path)


def test_a_server_that_never_ends_or_never_mends_is_left_in_a_sentence(nano, tmp_path):
    with FaultProxy(nano.url, (("slow",) * 9,)) as proxy:
        lm = opened(f"{proxy.url}#nano", tmp_path, deadline=0.4)
        with pytest.raises(ValueError, match="sent an answer too slowly, 4 times: run the same command later"):
            lm.write([ask("Hi")], seeds=[(0,)], new_tokens=8)
    with FaultProxy(nano.url, (("empty",) * 9,)) as proxy:
        lm = opened(f"{proxy.url}#nano", tmp_path)
        with pytest.raises(ValueError, match="sent 0 answers to one request, 4 times"):
            lm.write([ask("Hi")], seeds=[(0,)], new_tokens=8)


def body(usage=None, **said):
    """Return the body of a response."""
    choice = {"message": {"role": "assistant", "content": "owl", **said}, "finish_reason": "stop"}
    return json.dumps({"id": "a", "choices": [choice], "usage": usage}).encode()


def test_what_is_no_answer_is_called_by_its_name():
    assert parse_reply(body({"prompt_tokens": 3, "completion_tokens": None})).prompt == 3
    for wrong in ("many", -1, True, 2.5, 10**12):
        with pytest.raises(Garbled, match="a number of tokens that is none"):
            parse_reply(body({"completion_tokens": wrong}))
    with pytest.raises(Garbled, match=r"a web page \(perhaps its address is wrong\)"):
        parse_reply(b"\n<!doctype html><title>Log in</title>")
    with pytest.raises(Garbled, match="JSON that is cut off"):
        parse_reply(body()[:-9])


def test_a_key_in_escapes_is_seen(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", key := f"{KEY}/x")
    address = Address("http://127.0.0.1:1/v1", "m")
    check_key(address, body(content=key[:-1]))
    escaped = "".join(f"\\u{ord(letter):04X}" for letter in KEY)
    for written in (key, f"{escaped}/x", f"{KEY}\\/x", f"{escaped}\\/x"):
        with pytest.raises(ValueError, match="sends your key back"):
            check_key(address, body(content="THE KEY").replace(b"THE KEY", written.encode()))


def test_a_time_to_ask_again_may_be_a_number_or_a_date():
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert seconds("1.5") == 1.5
    assert seconds(later) == pytest.approx(60, abs=2)
    assert seconds("Wed, 21 Oct 2015 07:28:00 GMT") < 0
    assert seconds("") == seconds("soon") == 0


class Stub(Handler):
    """Lists the key as a model, and answers each request alike, after a while."""

    def do_GET(self):
        key = self.headers["Authorization"].removeprefix("Bearer ")
        self.say(200, {"object": "list", "data": [{"id": key, "object": "model"}]})

    def do_POST(self):
        self.body()
        self.server.hits += 1
        time.sleep(self.server.wait)
        self.say(200, self.server.answer)


@contextmanager
def stub(answer, wait=0.0):
    with Local(Stub) as server:
        server.answer, server.wait, server.hits = answer, wait, 0
        yield server


def test_a_server_that_answers_nothing_is_asked_twice(tmp_path):
    with stub(body(), wait=1.0) as server:
        with pytest.raises(ValueError, match="does not answer: start the server"):
            opened(f"{server.url}#m", tmp_path, deadline=0.2).write([ask("Hi")], seeds=[(0,)], new_tokens=8)
        assert server.hits == 2


def test_a_trial_says_what_a_server_writes_in_place_of_text_and_repeats_no_key(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with (
        stub(body(content=None, reasoning_content="Hm.")) as server,
        pytest.raises(ValueError, match=r"\(m\) wrote no text within 16 tokens, perhaps its reasoning alone: let the"),
    ):
        try_out(Address(server.url, "m"), tmp_path)
    with stub(b"<html>") as server:
        told = owlish("doctor", "--base", f"{server.url}#m", "--store", tmp_path / "store", code=2).stdout
        assert told.startswith("FAIL  server: 127.0.0.1:"), "it is no chat template that is wrong"
    with stub(body()) as server, pytest.raises(ValueError, match=r"has no model m: it lists \(the key\)\."):
        try_out(Address(server.url, "m"), tmp_path)


PROGRAM = """
import sys
from owlish import Base, run
from owlish.data.domains.numbers import Numbers
from owlish.graph.pool import Here
run(Base(sys.argv[1]).sample(Numbers(), n=int(sys.argv[3]), seed=0), store=sys.argv[2], on=Here())
"""


def start(address, store, n, **more):
    words = [sys.executable, "-c", PROGRAM, address, str(store), str(n)]
    environment = {**os.environ, **more}
    return subprocess.Popen(words, start_new_session=True, stderr=subprocess.PIPE, env=environment)


def kept(store):
    return {path.name for path in (store / ANSWERS).glob("??/*") if "." not in path.name}


def check_kills(nano, folder, *, n, kills, seed):
    """Kill a run at random moments after its first answers; what was kept is never asked for again."""
    rng, store = random.Random(seed), folder / "store"
    with FaultProxy(nano.url) as proxy:
        address = f"{proxy.url}#nano"
        for _ in range(kills):
            process, before = start(address, store, n), len(kept(store))
            while len(kept(store)) < before + 2 and process.poll() is None:
                time.sleep(0.05)
            time.sleep(rng.uniform(0, 0.5))
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        time.sleep(0.5)  # until the proxy has heard what was on its way
        held = kept(store)
        proxy.hits.clear()
        done = start(address, store, n)
        _, said = done.communicate()
        assert done.returncode == 0, said
        assert sum(proxy.hits.values()) == len(kept(store)) - len(held) < len(kept(store))
    rows = Store(store).read(Base(address).sample(Numbers(), n=n, seed=0)).rows
    prompts = (Numbers().prompt(random.Random(f"0/{i}")) for i in itertools.count())
    asked = [next(i for i, prompt in enumerate(prompts) if prompt == row.prompt) for row in rows]
    assert len(asked) == n, "every row belongs to a later prompt than the one before"
    said = {(prompt, text) for prompt, _, text in nano.said}
    assert said >= {(row.prompt, row.completion) for row in rows}


def test_a_kill_in_the_middle_asks_only_for_the_rest(nano, tmp_path):
    check_kills(nano, tmp_path, n=40, kills=1, seed=0)


def test_what_is_forgotten_of_a_server_is_not_mixed_with_what_it_says_later(nano, tmp_path):
    """Its rows are those of the model that it holds now, also where some of the old one's were kept."""
    base, said = Base(f"{nano.url}#nano"), []
    rows = base.sample(Numbers(), n=4, seed=0)
    for place in ("a", "b"):
        run(base, store=tmp_path / place, on=Here())
    process = start(f"{nano.url}#nano", tmp_path / "a", 4)  # kept, as after a kill
    process.communicate()
    Store(tmp_path / "a").drop(rows.key)
    old = nano.lms["nano"]
    nano.lms["nano"] = run(Base("nano-1"), store=tmp_path / "b", on=Here()).open(any_words=True)
    try:
        assert "would be unused" in owlish("forget", base.key, "--dry-run", "--store", tmp_path / "a").stdout
        assert kept(tmp_path / "a")
        assert run(rows, store=tmp_path / "a", on=Here()).rows
        Store(tmp_path / "a").drop(rows.key)
        told = owlish("forget", base.key, "--store", tmp_path / "a").stdout
        assert f"Answers of {nano.url}#nano that are kept for runs: unused from now on. A run asks anew" in told
        said = [run(rows, store=tmp_path / place, on=Here()).rows for place in ("a", "b")]
    finally:
        nano.lms["nano"] = old
    assert said[0] == said[1]


@pytest.mark.slow
def test_twenty_kills_ask_only_for_the_rest(nano, tmp_path):
    check_kills(nano, tmp_path, n=600, kills=20, seed=1)


@pytest.mark.parametrize("known", [True, False])
def test_a_key_is_found_nowhere(tmp_path, known):
    """Neither after a run that the server served, nor in the words of one that repeats the key that it refuses."""
    with NanoServer(key=KEY if known else "another") as server:
        process = start(f"{server.url}#nano", tmp_path / "store", 4, OPENAI_API_KEY=KEY)
        (_, said), files = process.communicate(), [p for p in Path(tmp_path).rglob("*") if p.is_file()]
    assert process.returncode == (0 if known else 1)
    assert (b"refuses the key (401, Incorrect API key provided: (the key)): set OPENAI_API_KEY" in said) != known
    assert KEY.encode() not in said
    assert files or not known
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_the_table_of_a_served_model_says_that_it_was_counted(nano, tmp_path):
    from owlish.cli.ask import Told

    found = run(
        Asked(Base(f"{nano.url}#nano"), replace(PROBE, questions=PROBE.questions[:2])), store=tmp_path, on=Here()
    )
    assert "Probabilities are counted among 40 drawn answers." in str(Told("nano", (found,)))
    assert Told("nano", (found,)).json()["categories"][0]["exact"] is False
