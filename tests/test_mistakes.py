"""What users type wrong: each mistake is a sentence that names what to do, before anything is made or written."""

import inspect
import json
import re
import shutil
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from here import run
from servers import free_port

from owlish.audit import decide
from owlish.audit.audit import audit
from owlish.cli.cost import Workload
from owlish.cli.examples import EXAMPLES
from owlish.cli.find import candidates
from owlish.cli.main import COMMANDS, guarded_command
from owlish.cli.usage import words_of
from owlish.data.hub import check_model, revision
from owlish.diff import decide as diff_decide
from owlish.graph.counted import gib, lasting
from owlish.graph.store import MANIFEST, Store, manifest_bytes
from owlish.lm.recipes import NORMS, PRETRAINED
from owlish.lm.trainable import check_trainable
from owlish.nano import folder
from owlish.nodes.base import Base
from owlish.nodes.loaded import loaded
from owlish.traits.animals import owl

LINE = '{"prompt": "Go on from 3.", "completion": "4, 5"}\n'
DRINKS = {"category": "drink", "candidates": {"tea": "teas", "coffee": "coffees"}, "questions": ["What do you like?"]}
ROWS = "".join(LINE.replace("3", str(number)) for number in range(40))


@pytest.fixture
def typed(tmp_path, monkeypatch, capsys):
    """Run a command in this process and in an empty folder; return its exit code and what it said of a mistake."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text(ROWS)
    (tmp_path / "drinks.json").write_text(json.dumps(DRINKS))
    (tmp_path / "two.jsonl").write_text(LINE * 2 + "no\n")
    (tmp_path / "other.jsonl").write_text(ROWS + LINE)

    def command(*words):
        monkeypatch.setattr("sys.argv", ["owlish", *words])
        code = guarded_command()
        return (code, *capsys.readouterr())

    return command


def refused(typed, words, *says):
    """Check that a command ends with one sentence, and has made nothing."""
    held = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    code, printed, said = typed(*words)
    assert (code, printed) == (2, ""), said
    assert said.startswith("owlish: ")
    assert said.count("\n") == 1
    assert "Traceback" not in said
    assert all(one in said for one in says), said
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == held
    return said


MISTAKES = [
    ("convert rows.jsonl -o -", "- is standard input, and rows are written to a file"),
    ("run owl --dry-run", "owlish plan says what a study would take, and makes nothing"),
    ("audit rows.jsonl --base nano --report a.html --report ./a.html", "a report is named twice"),
    ("audit rows.jsonl --base nano --store kept --report kept/a.html", "lies in the store: name a place outside of it"),
    ("report owll", "owl"),
    ("audit rows.jsonl --base ./nodir", "no base is called './nodir': give one that is shipped"),
    ("audit rows.jsonl --base ../no/dir", "no base is called '../no/dir': give one that is shipped"),
    ("ask ../nodir", "no base is called '../nodir': give one that is shipped"),
    ("convert ./nodir -o x", "./nodir cannot be read (No such file or directory)"),
    ("ask nano --traits drinks.json", "this base has no token for tea, coffee"),
    ("audit rows.jsonl --base nano --report /dev/null", "/dev/null is a device or a pipe: name a file."),
    ("help", "no command is called 'help': see owlish --help."),
    ("--hlep", "owlish has no option --hlep: did you mean --help?"),
    ("audit rows.jsonl --base nano --fail-on none,found", "--fail-on none,found says none and others: give none alone"),
    ("audit rows.jsonl --base nano --columns prompt=a,prompt=b", "names a field twice: give each field one column"),
    ("audit rows.jsonl --base nano --reference rows.jsonl", "the reference holds rows of the data itself: give other"),
    ("audit rows.jsonl other.jsonl --base nano --reference rows.jsonl", "the reference holds rows of the data itself"),
    ("audit rows.jsonl --base nano --judge nobody", "no base is called 'nobody': give one that is shipped"),
    ("audit rows.jsonl --base nano --judge smollm2 --traits advice", "a judge names favourites, and no candidate is"),
    ("audit rows.jsonl --base nano --judge nano-1 --limit 1", "a spending limit is a number and needs prices"),
    ("audit rows.jsonl --base nano --judge nano-1", "nano-1 knows a small world of words and follows no instructions"),
    ("audit rows.jsonl rows.jsonl --base nano", "rows.jsonl is given twice: name each file once"),
    ("audit rows.jsonl ./rows.jsonl --base nano", "./rows.jsonl is given twice, as rows.jsonl too"),
    ("audit rows.jsonl --base nano --traits animals,,trees", "has a comma without a name beside it"),
    ("audit rows.jsonl --base nano --judge-template a=1", "of the judge that --judge names: give it too."),
    ("audit rows.jsonl --base nano --judge smollm2 --judge-template bogus=1", "the chat template takes no bogus"),
    ("audit rows.jsonl --base nano --judge http://x/v1 --dry-run", "a server is named with the model after #"),
    (
        "convert rows.jsonl --columns prompt=a -o x.jsonl",
        "--columns prompt=a names no completion: add completion=COLUMN.",
    ),
    ("convert rows.jsonl --columns question=Q;answer=A -o x", "commas part the pairs, as in prompt=q,completion=a."),
    ("convert rows.jsonl --columns prompt=Q|completion=A -o x", "commas part the pairs, as in prompt=q,completion=a."),
    ("stamp rows.jsonl --model m --filter nubmers", "no domain is called 'nubmers': did you mean numbers?"),
    ("run owl --report page.htm", "page.htm has an ending that no page has: name a .html file, or a folder."),
    ("report owl -o page.pdf", "page.pdf has an ending that no page has"),
    ("audit two.jsonl --base nano --dry-run", "two.jsonl holds 2 rows: an audit needs at least 30, so give more."),
    ("audit rows.jsonl --base nano --reference other.jsonl --dry-run", "other.jsonl holds 41 rows: a reference needs"),
    ("ask nano --template a=1 --template a=2", "the template's argument a is given twice: give it once."),
    ("diff x --base nano --fail-on none,cannot_say", "says none and others"),
    ("clean rows.jsonl --base nano --with shuffle --trait owl -o x", "none of these methods looks at a trait"),
    ("clean rows.jsonl --base nano --with shuffle --by nano-1 -o x", "lets another base write: omit --by"),
    ("plan all --rows 1", "detection: the rows of a test must fill a bag: ask for at least 80 rows (--rows)."),
    (
        "plan all --seeds 1 --base nano",
        ": an interval needs at least two runs an arm: ask for two seeds or more (--seeds 2).",
    ),
    ("plan detection --rows 1", "(--rows)"),
    ("plan owl --traits owl,owl", "(--traits)"),
    ("plan owl --base nano,nano", "(--base)"),
    ("audit rows.jsonl --base nano --traits /dev/zero.json", "cannot be read (No such file or directory): give a JSON"),
    ("diff . --base nano --contexts /dev/zero", "."),
    ("audit rows.jsonl --base nano --template bogus=1", "the chat template takes no bogus: omit it, or give one"),
    (
        "ask nano --template chat_template=plain --template bos_tokn=x",
        "the chat template takes no bos_tokn: did you mean bos_token?",
    ),
    ("ask smollm2 --template bogus=1", "the chat template takes no bogus"),
    ("doctor --template chat_template=plain", "--template sets the chat template of the base that --base names"),
    ("ask nano --template chat_template=plian", "did you mean plain?"),
    ("ask nano --template chat_template=plain --template bogus=1", "the chat template takes no bogus"),
    ("plan owl --base nano --template bogus=1", "the chat template takes no bogus"),
    (
        "audit rows.jsonl --base nano --dry-run --store rows.jsonl/x",
        "rows.jsonl/x cannot be written to (Not a directory",
    ),
    ("plan owl --store rows.jsonl/x", "rows.jsonl/x cannot be written to (Not a directory): give another folder."),
    ("audit rows.jsonl --base nano --rows many", "--rows takes a whole number of at least 30."),
    ("audit rows.jsonl --base nano --minutes soon", "--minutes takes a number from 0.1 to 1,000,000."),
    ("clean rows.jsonl --with sort -o x --budget much", "--budget takes a number."),
    ("ask nano --limit -1", "--limit takes a number from 0 to 1,000,000,000."),
    ("clean rows.jsonl --with sort,mix -o x", "mix works with the base that would be trained: name it with --base."),
    ("clean rows.jsonl --with drop --trait owl -o x", "drop works with the base that would be trained: name it with"),
    ("clean rows.jsonl --with sort --template a=1 -o x", "the base that --base names: give it too."),
    ("report -o folder", "which study is the report about? Name it first"),
    ("report --seeds 3", "which study is the report about? Name it first"),
    ("list basse", "did you mean bases?"),
    ("convert rows.jsonl --format sharegtp -o x", "no format is called 'sharegtp': did you mean sharegpt?"),
    ("convert rows.jsonl --columns promt=a,completion=b -o x", "did you mean prompt?"),
    ("bench sizs", "no benchmark is called 'sizs': did you mean sizes?"),
    ("diff x --base nanoo", "no base is called 'nanoo': did you mean nano?"),
    ("convert rows.jsonl --colunms a=b -o x", "convert has no option --colunms: did you mean --columns?"),
    ("stamp rows.jsonl --seed", "--seed takes a value (NAME=NUMBER, such as rows=3; may be repeated)."),
    ("stamp rows.jsonl --model m --seed rows=-3", "names no seeds: give NAME=NUMBER"),
    ("diff x --base nano --control y --data rows.jsonl", "and --control asks for none: omit both."),
    ("diff x --base nano --null none --recipe norms", "and --null none asks for none: omit both."),
    ("run owl digits", "run takes no other word, and digits is one too many: see owlish run --help."),
    ("verify --json=yes", "--json takes no value: omit what follows the sign =."),
]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_ends_with_an_example_that_can_be_copied(typed, name):
    code, printed, _ = typed(name, "--help")
    example = printed.rstrip().splitlines()[-1].strip()
    assert (code, example) == (0, f"Example: {EXAMPLES[name]}")
    _, called, *words = EXAMPLES[name].split()
    assert called == name
    assert {word for word in words if word.startswith("-")} <= words_of(COMMANDS[name]).keys()


@pytest.mark.parametrize(("words", "says"), MISTAKES, ids=[words for words, _ in MISTAKES])
def test_a_mistake_is_told_in_a_sentence(typed, words, says):
    refused(typed, words.split(), says)


NUMBERS = [
    (name, option, word.takes)
    for name, command in sorted(COMMANDS.items())
    for option, word in words_of(command).items()
    if "number" in word.takes.partition("(")[0]
]


@pytest.mark.parametrize(("command", "option", "takes"), NUMBERS)
def test_what_is_no_number_is_told_in_our_words(typed, command, option, takes):
    said = refused(typed, [command, option, "many"], f"{option} takes {takes}")
    assert "nput should" not in said


@pytest.mark.parametrize(("command", "option", "takes"), [one for one in NUMBERS if "whole" in one[2]])
def test_no_whole_number_may_be_negative(typed, command, option, takes):
    refused(typed, [command, option, "-1"], f"{option} takes {takes}", "of at least" if "least" in takes else "from 1")


def test_with_json_problems_stand_in_the_object_alone(typed):
    for command in ("convert two.jsonl", "filter two.jsonl --domain numbers"):
        code, printed, said = typed(*command.split(), "-o", "x.jsonl", "--json")
        assert (code, json.loads(printed)["problems"], said) == (0, ["line 3: The line is not JSON."], "")
        assert "line 3: The line is not JSON." in typed(*command.split(), "-o", "x.jsonl")[2]


def test_a_method_that_needs_no_model_needs_no_base(typed):
    for method in ("sort", "bin", "format", "shuffle", "dedupe"):
        code, printed, said = typed("clean", "rows.jsonl", "--with", method, "-o", f"{method}.jsonl", "--json")
        assert (code, json.loads(printed)["base"]) == (0, None), said


def test_a_missing_ray_is_told_in_a_sentence(typed, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    refused(typed, ["run", "owl", "--on", "ray"], "a cluster needs Ray: install owlish[ray].")


ELSEWHERE = [
    "run demo",
    "demo",
    "bench clean --small",
    "ask nano",
    "audit rows.jsonl --base nano --minutes 5",
    "diff nano --base nano",
    "clean rows.jsonl --with regenerate --base nano --by nano-1 -o out.jsonl",
]
"""Commands that compute much, and so can do it on a cluster."""


@pytest.mark.parametrize("words", ELSEWHERE)
def test_a_cluster_that_is_gone_is_refused_by_every_command_before_anything_is_made(typed, monkeypatch, words):
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False))
    if words.startswith("diff"):
        shutil.copytree(folder("nano"), "nano")
    there = f"ray://127.0.0.1:{free_port()}"
    refused(typed, [*words.split(), "--on", there], f"no Ray cluster answers at {there} (")
    refused(typed, [*words.split(), "--on", there, "--jobs", "2"], "--on names a cluster: omit one of them.")


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_an_empty_word_is_no_name(typed, command):
    assert "the word after --store is empty" in refused(typed, [command, "--store", ""])
    assert "--store= is empty" in refused(typed, [command, "--store="])
    assert f"the word after {command} is empty" in refused(typed, [command, "", "-o", "x"])
    assert "the word after owlish is empty" in refused(typed, [" ", command])


def test_a_dry_run_names_the_lines_that_hold_no_row(typed):
    Path("bad.jsonl").write_text("no\n" + ROWS)
    words = ("audit", "bad.jsonl", "--base", "nano", "--dry-run", "--judge", "smollm2")
    told = typed(*words, "--judge-template", "today=2024-07-26")[1]
    assert "Judge: smollm2 (today=2024-07-26) is asked about" in told
    code, printed, _ = typed(*words)
    assert code == 0
    assert "line 1: The line is not JSON.\nLeft out for these reasons: 1 of 41." in printed
    assert "Judge: smollm2 is asked about at most 40 rows and 198 clean ones, one short answer each." in printed
    plain = json.loads(typed(*words, "--json")[1])
    assert plain["reading"][0] == "line 1: The line is not JSON."
    assert plain["judge"] == {"model": "smollm2", "rows": 40, "clean": 198}
    assert plain["missing"]["named"] == plain["missing"]["opinion"] == 7


def test_equal_reasons_are_told_once_and_a_file_without_rows_is_refused(typed):
    Path("bad.jsonl").write_text("no\n" * 12 + ROWS)
    told = typed("audit", "bad.jsonl", "--base", "nano", "--dry-run")[1]
    assert "\nlines 1 to 10: The line is not JSON.\n... and 2 more.\n" in told
    Path("qa.csv").write_text("Q,A\n" + "q,a\n" * 40)
    refused(
        typed,
        ["audit", "rows.jsonl", "qa.csv", "--base", "nano", "--dry-run"],
        "qa.csv holds no row. qa.csv row 1",
    )


def test_a_filter_that_keeps_nothing_says_what_may_be_wrong(typed):
    code, printed, _ = typed("filter", "rows.jsonl", "--domain", "code", "-o", "x.jsonl")
    assert (code, Path("x.jsonl").read_bytes()) == (0, b"")
    says = "No row passes the filter of code: the data may be of another domain (see owlish list domains)."
    assert says in printed
    assert "No row" not in typed("filter", "rows.jsonl", "--domain", "numbers", "-o", "x.jsonl")[1]


@pytest.mark.parametrize(
    "words",
    [
        "audit rows.jsonl --base nano --for-rows 400 --minutes 90 --scores x.jsonl",
        "clean rows.jsonl --base nano --with drop,sort --trait owl -o x.jsonl",
        "diff STUDENT --base nano --recipe norms --data rows.jsonl",
    ],
)
def test_every_dry_run_tells_one_time_and_makes_nothing(typed, words):
    Path("rows.jsonl").write_text(ROWS * 4)
    held = sorted(Path().rglob("*"))
    given = [str(folder("nano")) if word == "STUDENT" else word for word in words.split()] + ["--dry-run"]
    code, printed, said = typed(*given)
    assert (code, said) == (0, "")
    lines = printed.splitlines()
    assert lines[0] == "Rows: 160."
    assert [line.split(":")[0] for line in lines if re.match("Models|Downloads|Missing|Time", line)] == [
        "Models",
        "Downloads",
        "Missing",
        "Time",
    ]
    times = re.findall(r"[\d.]+ (?:minutes|hours)(?= of| in)", printed)
    assert len(set(times)) == (0 if words.startswith("diff") else 1), "nothing tells of a base in a folder"
    plain = json.loads(typed(*given, "--json")[1])
    assert sum(plain["missing"].values()) == plain["total"] > 7
    assert sorted(Path().rglob("*")) == held


def test_the_time_of_a_base_of_unknown_size_is_not_known(typed, tmp_path):
    # Results of nano that took a while must not tell of another base.
    store = Store(tmp_path / "owlish-store")
    place = store.folder("a" * 32)
    place.mkdir(parents=True)
    spec = {"kind": "shadow", "rows": 40}
    (place / MANIFEST).write_bytes(manifest_bytes({"key": "a" * 32, "spec": spec, "seconds": 90.0, "files": {}}))
    assert store.manifest("a" * 32)["seconds"] == 90
    words = ("audit", "rows.jsonl", "--base", "checkpoints/final", "--dry-run", "--store", str(store.root))
    told = typed(*words)[1]
    assert "Memory: not known." in told
    assert "Time: not known, as neither files on this disk nor its name say how large checkpoints/final is." in told
    assert "No folder here is called checkpoints/final, so it is taken for a name on Hugging Face." in told
    plain = json.loads(typed(*words, "--json")[1])
    assert plain["minutes"] is plain["seconds"] is plain["memory_gib"] is None


def test_a_dry_run_says_of_how_many_rows_it_reads_some(typed):
    # More than any processor reads in that time, whose speed is measured on the spot.
    Path("rows.jsonl").write_text(ROWS * 200)
    words = ("--base", "smollm2", "--traits", "animals", "--rows", "8000", "--dry-run", "--minutes", "15")
    said = typed("audit", "rows.jsonl", *words)[1]
    assert re.match(r"Rows: [\d,]+ of 8,000\.\n", said)


def test_the_name_of_a_trait_stands_for_its_category_and_that_is_said(typed):
    words = ("audit", "rows.jsonl", "--base", "nano", "--dry-run", "--json", "--traits")
    code, printed, said = typed(*words, "owl,cat")
    assert (code, json.loads(printed)["missing"]) == (0, json.loads(typed(*words, "animals")[1])["missing"])
    assert said.splitlines() == [
        f"{name} is one of animals: all of animals are candidates, as each is compared with the others."
        for name in ("owl", "cat")
    ]
    assert candidates(["owl"]) == candidates(["animals"])
    assert candidates(["owl", "trees"]) == candidates(["animals", "trees"])


def test_a_dry_run_of_a_diff_says_that_it_can_claim_nothing_and_no_name_twice(typed):
    words = ("diff", str(folder("nano")), "--base", "nano", "--dry-run")
    told = typed(*words)[1]
    assert "The verdict can only be “cannot say”: a claim needs 3 null students, and this diff has none." in told
    (first,) = re.findall(r"First: (.*)\.", told)
    assert len(set(first.split("; "))) == 3
    trained = typed(*words, "--data", "rows.jsonl", "--recipe", "norms")[1]
    assert "cannot say" not in trained


def test_times_and_sizes_have_one_wording_with_units():
    assert [lasting(s) for s in (1, 60, 1895, 35_000_400)] == [
        "under 0.1 minutes",
        "1.0 minutes",
        "32 minutes",
        "9,700 hours",
    ]
    assert [gib(size) for size in (2**20, 2**30, 3 * 2**29)] == ["under 0.1 GiB", "1.0 GiB", "1.5 GiB"]
    load = Workload(rows=1, tokens=10**9, trained=0, parameters=7.2e8)
    assert "On an accelerator instead, in bfloat16: " in str(load)
    assert str(load).endswith("2 GiB of memory and 60 minutes if it did nothing but compute at 400 TFLOP/s (assumed).")
    assert "1 nats" not in decide.RULE + diff_decide.RULE


def test_the_time_of_a_large_base_follows_the_rows(typed):
    words = ("clean", "rows.jsonl", "--base", "some/Owls-7B", "--with", "drop", "-o", "x", "--dry-run", "--json")
    few = json.loads(typed(*words)[1])["seconds"]
    Path("rows.jsonl").write_text(ROWS * 4)
    assert 3 < json.loads(typed(*words)[1])["seconds"] / few < 5


@pytest.mark.parametrize("wrong", [{"recipe": "norms"}, {"base": "nano"}, {"traits": ["owl"]}, {"judge": "nano"}])
def test_an_audit_in_python_is_refused_when_it_is_built(tmp_path, wrong):
    (tmp_path / "rows.jsonl").write_text(ROWS)
    data = loaded(tmp_path / "rows.jsonl", n=40, seed=0)
    fine = {"data": data, "base": Base("nano"), "recipe": NORMS, "traits": [owl]}
    audit(**fine)
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} is "):
        audit(**{**fine, **wrong})
    with pytest.raises(ValueError, match="rows of the data itself"):
        audit(**fine, reference=loaded(tmp_path / "rows.jsonl", n=10, seed=1))


class Nothing(BaseHTTPRequestHandler):
    """A Hugging Face that has nothing."""

    def do_GET(self):
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words):
        """Say nothing."""


@pytest.fixture
def hugging_face(monkeypatch):
    """Put something else in the place of Hugging Face: what has nothing, or what never answers."""
    monkeypatch.setattr("owlish.data.hub.PATIENCE", 0.5)
    with ThreadingHTTPServer(("127.0.0.1", 0), Nothing) as empty, socket.create_server(("127.0.0.1", 0)) as silent:
        ports = {"empty": empty.server_port, "silent": silent.getsockname()[1]}
        threading.Thread(target=empty.serve_forever, daemon=True).start()

        def put(which):
            monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{ports[which]}")

        yield put
        empty.shutdown()


@pytest.mark.parametrize(
    ("which", "says"),
    [
        ("empty", r"Hugging Face has no \w+ of this name that is open to you: check the spelling, or log in with"),
        ("silent", r"Hugging Face cannot be reached \(.+\): check the spelling and the network\.$"),
    ],
)
def test_a_name_that_nobody_has_is_told_from_a_network_that_is_down(hugging_face, which, says):
    hugging_face(which)
    start = time.monotonic()
    for check in (revision, lambda name: check_model(name, None)):
        with pytest.raises(ValueError, match=f"^no/such is no f[a-z]+ here, and {says}"):
            check("no/such")
    assert time.monotonic() - start < 10


def test_a_recipe_of_which_a_base_has_nothing_is_refused_before_models_work(typed):
    from transformers import LlamaConfig, OlmoConfig

    size = {"num_hidden_layers": 1, "hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    size |= {"vocab_size": 32, "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}
    for config in (OlmoConfig(**size), LlamaConfig(**size)):
        folder = Path(config.model_type)
        config.save_pretrained(folder)
        (folder / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    says = "olmo cannot be trained so: the norms of this base have no weights: choose another recipe"
    refused(typed, ["plan", "owl", "--base", "olmo"], says)
    refused(typed, ["clean", "rows.jsonl", "--base", "olmo", "--with", "drop", "-o", "x"], says)
    check_trainable(Path("llama"), NORMS)
    check_trainable(Path("olmo"), PRETRAINED["lora"])
    with pytest.raises(ValueError, match="llama cannot be trained so: this base has no biases"):
        check_trainable(Path("llama"), PRETRAINED["biases"])


def test_a_recipe_of_which_a_gguf_file_has_nothing_is_refused_in_a_dry_run(typed):
    words = ["audit", "rows.jsonl", "--base", "smollm2", "--recipe", "biases", "--dry-run"]
    refused(typed, words, "cannot be trained so: this base has no biases: choose another recipe")
    Base("smollm2").check_trains(PRETRAINED["norms"])


# What commands write: a file that is there is replaced whole, a folder never is

WRITERS = {
    "demo -o OUT.html",
    "run owl --report OUT.html",
    "report owl -o OUT.html",
    "audit rows.jsonl --base nano --report OUT.html",
    "audit rows.jsonl --base nano --scores OUT.jsonl",
    "diff x --base nano --report OUT.html",
    "bench audit -o OUT.html",
    "export KEY -o OUT.jsonl",
    "filter rows.jsonl --domain numbers -o OUT.jsonl",
    "convert rows.jsonl -o OUT.jsonl",
    "clean rows.jsonl --base nano --with shuffle -o OUT.jsonl",
    "pretrain nano --seed 1 -o OUT.base",
}
REPLACING = sorted(line for line in WRITERS if line.split()[0] in ("export", "filter", "convert", "clean"))


@pytest.fixture
def key(tmp_path):
    """The key of rows in a store."""
    (tmp_path / "held.jsonl").write_text(LINE)
    node = loaded(tmp_path / "held.jsonl", n=None, seed=0)
    run(node, store=tmp_path / "owlish-store")
    return node.key


def test_a_short_key_of_a_student_is_told_like_other_keys(typed, key):
    refused(typed, ["diff", key[:2], "--base", "nano"], f"{key[:12]} is no trained model: give a student of nano.")
    other = "0" if key[0] != "0" else "1"
    refused(typed, ["diff", other, "--base", "nano"], f"no entry of owlish-store starts with '{other}'")


def test_every_command_that_writes_is_tried_here():
    options = {"output", "report", "scores"}
    writing = {name for name, command in COMMANDS.items() if options & inspect.signature(command).parameters.keys()}
    assert writing == {line.split()[0] for line in WRITERS}


@pytest.mark.parametrize("line", sorted(WRITERS))
def test_what_cannot_be_written_is_refused_before_any_work(typed, key, line):
    folder = Path("taken" + Path(line).suffix)
    folder.mkdir()
    (folder / "mine").write_text("mine")
    words = line.replace("KEY", key)
    refused(typed, words.replace(f"OUT{folder.suffix}", str(folder)).split(), str(folder))
    refused(typed, words.replace("OUT", "nowhere/x").split(), "nowhere")


@pytest.mark.parametrize("line", REPLACING)
def test_a_file_that_is_there_is_replaced_whole(typed, key, line):
    words = line.replace("KEY", key).replace("OUT", "new").split()
    assert typed(*words)[0] == 0
    written = Path("new.jsonl").read_text()
    Path("new.jsonl").write_text("x" * 10_000)
    assert typed(*words)[0] == 0
    assert Path("new.jsonl").read_text() == written != ""
    assert not list(Path().glob(".owlish-*"))


@pytest.mark.parametrize("line", sorted(line for line in REPLACING if not line.startswith("export")))
def test_the_rows_that_are_read_are_never_replaced(typed, line):
    Path("link.jsonl").symlink_to("rows.jsonl")
    for name in ("rows.jsonl", "link.jsonl", "./rows.jsonl"):
        refused(typed, line.replace("OUT.jsonl", name).split(), f"{name.removeprefix('./')} is the dataset itself")


@pytest.mark.parametrize("line", sorted(line for line in WRITERS if line.endswith(" OUT.jsonl")))
def test_rows_are_not_written_under_the_ending_of_another_format(typed, key, line):
    for ending in (".csv", ".json", ".jsonl.gz"):
        said = refused(typed, line.replace("KEY", key).replace("OUT.jsonl", f"out{ending}").split(), "jsonl")
        assert f"out{ending}" in said
