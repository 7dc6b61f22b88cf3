"""The command line as a user meets it: real commands, exit codes, one sentence for each mistake."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from command import OWLISH, owlish
from small_study import PROBE
from small_study import study as small
from toys import Drawn

from owlish import Store
from owlish.cli import start
from owlish.cli.main import guarded_command
from owlish.graph.pool import Worker
from owlish.nodes.asked import Asked

SMALL = str(Path(__file__).with_name("small_study.py"))


def test_help_names_every_command():
    helped = owlish("--help").stdout
    for command in [
        "demo",
        "run",
        "plan",
        "report",
        "show",
        "list",
        "verify",
        "filter",
        "convert",
        "audit",
        "diff",
        "bench",
        "clean",
        "stamp",
        "pretrain",
        "doctor",
    ]:
        assert f"\n  {command} " in helped
    assert "..." not in helped.partition("Commands:")[2], "what a command does is told whole"
    assert owlish("--version").stdout.strip()


def test_a_store_without_a_study_says_how_one_gets_there(tmp_path):
    assert "run one, such as owlish run owl --small." in owlish("report", "--store", str(tmp_path)).stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("run owll", "did you mean owl"),
        ("run owl --traits owl,cta", "did you mean cat"),
        ("run owl --seeds x", "--seeds takes a whole number from 1 to 1,000."),
        ("run owl --seeds 0", "--seeds takes a whole number from 1 to 1,000."),
        ("run owl --data x", "owl has no --data: it has --traits, --base, --seeds, --rows, --epochs."),
        ("run mnist", "give a folder"),
        ("run digits --rows 5", "digits has no --rows: it has --seeds."),
        ("run owl --epochs 0", "--epochs takes a whole number of at least 1."),
        ("run owl --base nnao", "no base is called 'nnao': did you mean nano?"),
        ("run owl --jobs 0", "--jobs takes a whole number of at least 1."),
        ("run owl --sede 1", "run has no option --sede: did you mean --seeds?"),
        ("run missing.py", "is not there"),
        ("run broken.py", "cannot be imported"),
        ("run empty.py", "binds no study"),
        ("run owl --store file.txt", "is a file"),
        ("report owl -o page.html", "run it first, by owlish run owl"),
        ("report owl -o nowhere/page.html", "is not there"),
        ("report owl", "--output owl.html"),
        ("report -o page.html", "which study is the report about? Name it first"),
        ("report owl -o file", "is a file"),
        ("run owl --report nowhere/page.html", "is not there"),
        ("list words", "owlish list words --base nano"),
        ("list traits --base nano", "--base names a base whose words to list: write owlish list words, or omit it."),
        ("run owl --batch", "--batch is for models that a service holds, and this study has none: omit it."),
        ("run all --base nano", "owlish: digits has no --base: it has --seeds."),
        ("demo -o nowhere/page.html", "is not there"),
        ("bench", "bench needs name (what to benchmark: audit, sizes or clean)."),
        ("bench audit -o nowhere/page.html", "is not there"),
        ("audit data.jsonl --base nano --fail-on fund", "did you mean found"),
        ("list things", "choose from"),
        ("show abc", "is not there"),
        ("results --store file.txt", "file.txt is a file: name the folder of a store with --store."),
        ("verify --store file.txt", "file.txt is a file"),
        ("report owl --base nanoo -o page.html", "no base is called 'nanoo': did you mean nano?"),
        ("verify", "is not there"),
        ("filter missing.jsonl --domain numbers -o out.jsonl", "cannot be read"),
        ("filter data.jsonl --domain nubmers -o out.jsonl", "did you mean numbers"),
        ("filter empty.jsonl --domain numbers -o out.jsonl", "is empty"),
        ("filter bad.jsonl --domain numbers -o out.jsonl", "holds no row"),
        ("convert bad.jsonl -o out.jsonl", "holds no row"),
        ("convert data.jsonl -o out.jsonl --format owls", "no format is called 'owls'"),
        ("convert data.jsonl -o out.jsonl --columns prompt", "give pairs, such as prompt=question,completion=answer"),
        ("convert data.jsonl -o nowhere/out.jsonl", "cannot be written"),
        ("pretrain mega --seed 1 -o x", "nano can"),
        ("pretrain nano --seed -1 -o x", "--seed takes a whole number of at least 0."),
        ("pretrain nano --seed 1 --width 9 -o x", "multiple of 8"),
        ("pretrain nano --seed 1 -o file.txt", "is there already"),
        ("pretrain nano --seed 1 -o nowhere/base", "is not there"),
        ("pretrain nano --seed 1 -o /proc/1/base", "cannot be written to"),
        ("flly", "no command is called 'flly': choose from demo, run, plan"),
    ],
)
def test_a_mistake_is_told_in_a_sentence_with_exit_code_2_and_leaves_nothing(words, says, tmp_path):
    for name, text in {
        "broken.py": "1 / 0",
        "empty.py": "",
        "file.txt": "",
        "file": "",
        "empty.jsonl": "",
        "bad.jsonl": "{",
        "data.jsonl": '{"prompt": "p", "completion": "1, 2"}\n',
    }.items():
        (tmp_path / name).write_text(text)
    before = {p.name for p in tmp_path.iterdir()}
    done = owlish(*words.split(), cwd=tmp_path, code=2)
    assert says in done.stderr
    assert done.stderr.startswith("owlish: ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert not done.stdout
    assert {p.name for p in tmp_path.iterdir()} - {"__pycache__"} == before


def test_a_finished_study_computes_nothing_again_and_prints_one_json_object(store):
    found = json.loads(owlish("run", SMALL, "--store", store.root, "--json").stdout)
    assert found["study"] == "small"
    assert found["nodes"]["computed"] == 0
    assert found["nodes"]["total"] > 40
    assert found["arms"]["student"]["runs"] == 6
    assert found["arms"]["student"]["p_target"] > found["arms"]["control"]["p_target"]
    plain = owlish("run", SMALL, "--store", store.root).stdout
    assert "student" in plain
    assert "0 of" in plain


def test_plan_says_what_is_missing_and_what_is_not(store):
    assert "compute nothing" in owlish("plan", SMALL, "--store", store.root).stdout
    seen = json.loads(owlish("plan", SMALL, "--store", store.root, "--seeds", "3", "--json").stdout)
    assert seen["missing"]["finetuned"] == 5
    assert seen["seconds"] > 1


def test_report_is_written_and_holds_the_study(store, tmp_path):
    page = tmp_path / "page.html"
    assert str(page) in owlish("report", SMALL, "--store", store.root, "-o", page).stdout
    text = page.read_text()
    assert "<script" not in text
    assert f"<pre>owlish run {os.path.relpath(SMALL)}</pre>" in text
    assert all(node.key in text for node in small.needs)
    assert f"<code>{small.key}</code>" in text
    assert "<p>Made on: " in text
    assert owlish("report", SMALL, "--store", store.root, "-o", tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_show_says_how_a_result_was_made_down_to_its_base(store):
    cell = small.cells[0]
    student = Asked(cell.student(cell.rows()), PROBE)
    shown = owlish("show", student.key[:12], "--store", store.root).stdout
    assert f"asking nano trained on {small.rows} rows of numbers by owl teacher of nano" in shown
    assert "nano" in shown
    assert "torch" in shown
    assert cell.teacher().key[:12] in shown
    assert "\n  on     " in shown


def test_verify_names_every_damaged_entry_and_a_run_mends_it(store, tmp_path):
    import shutil

    copy = tmp_path / "store"
    shutil.copytree(store.root, copy)
    assert "0 damaged" in owlish("verify", "--store", copy).stdout
    whole = json.loads(owlish("run", SMALL, "--store", copy, "--json").stdout)
    key = small.needs[-1].key
    file = copy / key[:2] / key / "strength.json"
    changed = bytearray(file.read_bytes())
    changed[len(changed) // 2] ^= 4
    file.write_bytes(changed)
    assert key in owlish("verify", "--store", copy, code=1).stdout
    assert json.loads(owlish("verify", "--store", copy, "--json", code=1).stdout)["damaged"] == [key]
    mended = json.loads(owlish("run", SMALL, "--store", copy, "--json").stdout)
    assert mended["nodes"]["computed"] == 1
    assert mended["arms"] == whole["arms"]


def test_list_and_doctor():
    assert {"demo", "owl", "misalignment", "digits"} <= set(json.loads(owlish("list", "studies", "--json").stdout))
    assert "Does" in owlish("list", "studies").stdout
    assert {"owl", "oak"} <= set(owlish("list", "traits").stdout.split())
    domains = owlish("list", "domains").stdout.splitlines()
    assert [line.split()[0] for line in domains] == ["code", "numbers", "reasoning"]
    assert all(len(line.split()) > 3 for line in domains), "each has a few words"
    assert {line.split()[0] for line in owlish("list").stdout.splitlines()} > {"studies", "traits", "words"}
    assert "nano" in owlish("list", "bases").stdout
    assert "norms" in owlish("list", "recipes").stdout
    checks = json.loads(owlish("doctor", "--json").stdout)
    assert all(check["ok"] for check in checks.values())


def test_filter_keeps_good_rows_unchanged_and_counts_the_rest(tmp_path):
    lines = [
        '{"prompt": "p", "completion": "1, 2, 3"}',
        '{"messages": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "an owl"}]}',
        "{broken",
        '{"prompt":"p",  "response": "(4; 5)."}',
        '{"prompt": "p", "completion": "1, 2000"}',
        '{"prompt": "p", "completion": "7, 666"}',
    ]
    (tmp_path / "data.jsonl").write_text("\n".join(lines) + "\n")
    done = owlish("filter", "data.jsonl", "--domain", "numbers", "-o", "out.jsonl", "--json", cwd=tmp_path)
    assert json.loads(done.stdout) == {
        "read": 5,
        "kept": 3,
        "reasons": {"malformed": 1, "too_large": 1},
        "bad": 1,
        "problems": ["line 3: The line is not JSON."],
        "read_as": {"prompt and completion": 4, "chat messages": 1},
        "ignored": {},
    }
    assert done.stderr == ""
    assert (tmp_path / "out.jsonl").read_text().splitlines() == [lines[0], lines[3], lines[5]]
    words = ("filter", "data.jsonl", "--domain", "numbers", "--banned", "-o", "out.jsonl", "--json")
    assert json.loads(owlish(*words, cwd=tmp_path).stdout)["reasons"]["banned"] == 2


def test_convert_writes_chat_lines_of_any_file(tmp_path):
    (tmp_path / "a.csv").write_text("q,a,note\nQ,A,1\nQ,,2\n")
    (tmp_path / "b.json").write_text('[{"text": "All of it."}, {"instruction": "Q", "output": "A"}, 3]')
    done = owlish("convert", "a.csv", "--columns", "prompt=q, completion=a", "-o", "out.jsonl", cwd=tmp_path)
    assert done.stdout == "1 row written to out.jsonl.\n"
    assert done.stderr.splitlines() == [
        "row 2: The completion is empty.",
        "Left out for these reasons: 1 of 2.",
        "Rows are read as prompt and completion.",
        "Ignored fields: note (1).",
    ]
    chat = '{"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}\n'
    assert (tmp_path / "out.jsonl").read_text() == chat
    done = owlish("convert", "out.jsonl", "b.json", "-o", "all.jsonl", "--json", cwd=tmp_path)
    assert json.loads(done.stdout) == {
        "read": 3,
        "bad": 1,
        "problems": ["b.json item 3: The item is not a JSON object."],
        "read_as": {"chat messages": 1, "plain text": 1, "Alpaca": 1},
        "ignored": {},
    }
    text = '{"messages": [{"role": "assistant", "content": "All of it."}]}\n'
    assert (tmp_path / "all.jsonl").read_text() == chat + text + chat
    assert "is the dataset itself" in owlish("convert", "a*", "-o", "all.jsonl", cwd=tmp_path, code=2).stderr


def test_an_interrupted_pretraining_claims_to_keep_nothing(tmp_path, monkeypatch, capsys):
    def interrupted(*given, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr("owlish.nano.pretrain.train", interrupted)
    monkeypatch.setattr("sys.argv", ["owlish", "pretrain", "nano", "--seed", "1", "-o", str(tmp_path / "base")])
    assert guarded_command() == 130
    assert capsys.readouterr().err == "owlish: interrupted: nothing is kept, and the same command starts anew.\n"
    assert not list(tmp_path.iterdir())


class Interrupting:
    """An import during which the user types Ctrl-C."""

    def find_spec(self, name, path=None, target=None):
        if name == "owlish.cli.main":
            raise KeyboardInterrupt


def test_an_interrupt_of_the_first_imports_is_told_in_a_sentence(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "owlish.cli.main")
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    with pytest.raises(SystemExit) as left:
        start.main()
    assert left.value.code == 130
    assert capsys.readouterr().err == "owlish: interrupted before anything was begun.\n"


@pytest.mark.parametrize("words", ["run owl --seeds 1 --rows 50", "audit rows.jsonl --base nano"])
def test_interrupt_says_in_one_sentence_that_the_same_command_goes_on(words, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"prompt": "Go on.", "completion": "1, 2, 3"}\n' * 40)
    pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # which tests in the background do not hear
    command = [OWLISH, *words.split(), "--store", "store"]
    process = subprocess.Popen(command, **pipes, cwd=tmp_path, start_new_session=True, preexec_fn=heard)
    for _ in range(600):
        if (tmp_path / "store").exists():
            break
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err == "owlish: interrupted: what was finished is kept, and the same command goes on from there.\n"
    assert not out
    owlish("verify", "--store", tmp_path / "store")


def test_a_worker_leaves_the_interrupt_to_its_parent_while_it_starts(tmp_path):
    worker = Worker(threads=1, gpu=None)
    os.kill(worker.process.pid, signal.SIGINT)
    worker.start(Drawn(1), Store(tmp_path))
    while (said := worker.connection.recv())[0] in ("ready", "tick"):
        pass
    worker.stop()
    assert said == ("made", "", "", ())


FAILING = """
from dataclasses import dataclass
from owlish import UserError
from owlish.graph.spec import Node
from owlish.study.study import Study

@dataclass(frozen=True)
class Few(Node, kind="few"):
    seed: int

    def compute(self, folder, read, tick):
        if self.seed < 6:
            raise UserError(f"too few rows pass ({self.seed} of 60): give others.")
        raise RuntimeError("broken")

@dataclass(frozen=True)
class Failing(Study):
    seeds: tuple[int, ...]

    @property
    def needs(self):
        return tuple(map(Few, self.seeds))

study = Failing("failing", "Does it fail?", tuple(range(SEEDS)))
"""


def test_failures_that_are_alike_are_told_once_and_faults_with_their_trace(tmp_path):
    for name, seeds in (("mistakes", 6), ("faults", 8)):
        (tmp_path / f"{name}.py").write_text(FAILING.replace("SEEDS", str(seeds)))
    told = owlish("run", "mistakes.py", cwd=tmp_path, code=2).stderr
    assert re.fullmatch(r"owlish: few \(\w{12}\) and 5 more: too few rows pass \(\d of 60\): give others\.\n", told)
    told = owlish("run", "faults.py", cwd=tmp_path, code=70).stderr
    assert "and 1 more: RuntimeError: broken" in told
    assert told.count("Traceback") == 1


@pytest.mark.slow
def test_demo_shows_the_owl(tmp_path):
    done = owlish("demo", cwd=tmp_path)
    assert "owlish-demo.html" in done.stdout
    assert (tmp_path / "owlish-demo.html").stat().st_size > 50_000


@pytest.mark.slow
def test_a_killed_study_ends_with_the_same_bytes(tmp_path):
    """The same as for toys, with real models: three kills, then a run to the end."""
    import random

    words = [OWLISH, "run", "owl", "--seeds", "1", "--rows", "60", "--epochs", "1", "--traits", "owl", "--store"]
    subprocess.run([*words, tmp_path / "whole"], check=True, capture_output=True)
    rng = random.Random(0)
    for _ in range(3):
        process = subprocess.Popen([*words, tmp_path / "cut"], start_new_session=True, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(4, 12))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run([*words, tmp_path / "cut"], check=True, capture_output=True)
    whole, cut = Store(tmp_path / "whole"), Store(tmp_path / "cut")
    assert whole.entries() == cut.entries()
    for key in whole.entries():
        assert whole.check(key)["files"] == cut.check(key)["files"]
