"""Every method of cleaning holds the same contract; and the command line says what is wrong in a sentence."""

import dataclasses
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from here import run
from typer.testing import CliRunner

from owlish import NORMS, Base, Store, UserError
from owlish.clean.bin import Bin
from owlish.clean.cleaned import Cleaned, Step
from owlish.clean.dedupe import Dedupe
from owlish.clean.drop import Drop
from owlish.clean.format import Format
from owlish.clean.inoculate import Inoculate
from owlish.clean.lift import Lift, Lifts
from owlish.clean.lists import listed
from owlish.clean.method import Method, Order, Outcome, Work
from owlish.clean.mix import Mix
from owlish.clean.paraphrase import Paraphrase, Turn, bare, unfit
from owlish.clean.replace import Replace, take
from owlish.clean.shuffle import Shuffle
from owlish.clean.sort import Sort
from owlish.clean.weighing import Weighing
from owlish.cli import find
from owlish.cli.clean import check_fit, check_rows, next_step, remarks_on, traits_known, weigh_by
from owlish.cli.main import app
from owlish.data.domains import Numbers, Reasoning
from owlish.data.domains.fitting import fitting
from owlish.data.domains.numbers import FORMATS
from owlish.data.filters import NumberFilter
from owlish.data.reading import read_rows
from owlish.data.rows import Message, Row, write_rows
from owlish.graph.run import RunFailed
from owlish.lm.model import Weights
from owlish.nodes.data import Written
from owlish.nodes.loaded import loaded
from owlish.traits.animals import owl

BASE = Base("nano")
SMOL = Base("smollm2")
METHODS = find.all_methods()
OF_NUMBERS = [name for name in METHODS if name != "paraphrase"]
EVERY = [*OF_NUMBERS, pytest.param("paraphrase", marks=pytest.mark.slow)]


def numbers(count, seed=0):
    """Return rows of numbers in all formats; each tenth answer repeats the one before."""
    rng = random.Random(seed)
    asked = [Numbers().prompt(random.Random(f"{seed}/{i}")) for i in range(count)]
    drawn = [rng.choice(FORMATS).join(rng.randint(0, 999) for _ in range(rng.randint(2, 9))) for _ in asked]
    said = [drawn[i - 1] if i % 10 == 9 else answer for i, answer in enumerate(drawn)]
    return Written(tuple(zip(asked, said, strict=True)))


ROWS = numbers(40)
BY = Weighing(ROWS, BASE, Base("nano-1"))  # the rows stand for what weighs their tokens
PROBLEMS = Written(
    (
        (
            "Ann has 12 apples and gets 5 more. How many apples does Ann have?",
            "Ann begins with 12 apples. She gets 5 more apples, so we add: 12 + 5 = 17. The answer is 17.",
        ),
        (
            "Tom has 9 books and gives away 4. How many books remain?",
            "Tom starts with 9 books and hands 4 of them to others. What is left is 9 - 4 = 5. The answer is 5.",
        ),
        (
            "Eve has 20 coins and gets 30 more. How many coins does Eve have?",
            "Eve owns 20 coins at first. With 30 more she has 20 + 30 = 50 coins. The answer is 50.",
        ),
        ("Max has 7 cards and gives away 6. How many cards remain?", "1"),
    )
)
NUMBERS = Numbers().prompt(random.Random(0))


def ordered(data, *names, **given):
    """Return data cleaned by methods, which are given all that any of them needs."""
    order = Order(BASE, **{**GIVEN, **given})
    for name in names:
        data = Cleaned(data, METHODS[name].of(order, data), order.seed)
    return data


def lifted(data):
    """Return weights that are quickly made: by how much a teacher finds the tokens likelier than the base does."""
    teacher = BASE.teach(owl, NORMS, seed=0, until=0.3)
    return Weighing(Lift(data, teacher, BASE), BASE, teacher)


GIVEN = {"seed": 3, "budget": 0.25, "trait": owl, "other": Base("nano-1"), "weights": lifted}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of this file's own, which needs no trained study."""
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def kept(store):
    """The rows of numbers before, and after each method that takes them."""
    made(store)
    return {name: (store.read(ROWS), store.read(ordered(ROWS, name))) for name in OF_NUMBERS}


@pytest.fixture(scope="module")
def said(smollm2):
    """Worked problems before, and after another model has said their answers in other words."""
    return run([PROBLEMS, ordered(PROBLEMS, "paraphrase", other=SMOL)], store=smollm2)


@pytest.fixture
def pair(name, request):
    """The rows before and after the method that a test is about."""
    return request.getfixturevalue("said") if name == "paraphrase" else request.getfixturevalue("kept")[name]


def made(store):
    """Clean the rows by each method in one run, and return the bytes of every result file."""
    nodes = {name: ordered(ROWS, name) for name in OF_NUMBERS}
    run(list(nodes.values()), store=store)
    files = ("rows.jsonl", "steps.json", "counts.json")
    return {name: [(store.folder(node.key) / file).read_bytes() for file in files] for name, node in nodes.items()}


@pytest.mark.parametrize("name", EVERY)
def test_rows_stay_valid_and_keep_their_prompts(name, pair):
    before, after = pair
    assert 0 < len(after.rows) <= len(before.rows)
    assert all(not fitting(before.rows).against(row) for row in after.rows)
    prompts = [row.prompt for row in before.rows]
    assert [row.prompt for row in after.rows if row.prompt in prompts] == [row.prompt for row in after.rows]


@pytest.mark.parametrize("name", EVERY)
def test_the_card_counts_what_was_changed(name, pair):
    before, after = pair
    (step,) = after.steps
    rule = "answer_filter" if name == "paraphrase" else "number_filter"
    assert (step.method, step.rows, step.filter) == (name, len(before.rows), rule)
    assert step.dropped == len(before.rows) - len(after.rows) == sum(step.reasons.values())
    old = {row.prompt: row for row in before.rows}
    assert step.changed == sum(old[row.prompt] != row for row in after.rows)
    assert step.changed + step.dropped > 0
    assert (step.words_changed > 0) == (step.changed > 0 and name not in ("inoculate", "mask"))
    assert "{" not in str(step)


def test_the_same_seed_gives_the_same_bytes(store, tmp_path):
    assert made(Store(tmp_path)) == made(store)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_paraphrases_in_other_words(said, smollm2):
    before, after = said
    again = Paraphrase(SMOL).changed(before.rows, Work(smollm2.read, lambda done, total: None, 3, Reasoning().filter))
    assert tuple(fate for fate in again.fates if isinstance(fate, Row)) == after.rows
    assert again.fates[3] == "no_words", "a row that cannot be put into other words does not stay"
    assert after.steps[0].reasons["no_words"] == 1
    assert after.steps[0].source == "smollm2"
    old = {row.prompt: row.completion for row in before.rows}
    assert all(bare(old[row.prompt]) not in bare(row.completion) for row in after.rows)


@pytest.mark.parametrize(
    ("said", "problem", "fault"),
    [
        ("Four of his 9 books go away, so 9 - 4 = 5 are left.", None, ""),
        ('Sure: "He gives away 4 of 9 books: 5 are left!"', None, "same_words"),
        ("Four of his 9 books go away, so 6 are left.", None, "wrong_answer"),
        ("Four of his", "unfinished", "unfinished"),
        ("...", None, "other_matter"),
        ("What are you looking for? There are 5.", None, "other_matter"),
    ],
)
def test_a_paraphrase_must_end_fit_the_filter_and_say_it_in_other_words(said, problem, fault):
    row = Row.of(PROBLEMS.rows[1][0], "He gives away 4 of 9 books. 5 are left.")
    turn = Turn(0, row, 1)
    turn.hear(said, problem, Reasoning().filter)
    assert turn.fault == fault


def test_rows_without_words_are_refused_before_a_model_is_opened(store):
    code = [Row.of("Add.", f"def add(a, b):\n    total = a + b + {i}\n    return total") for i in range(3)]
    for rows in (run(ROWS, store=store).rows, code, [Row.of("Add.", "```\nplus one\n```")]):
        with pytest.raises(UserError, match="does not fit these rows: numbers, code and tool calls"):
            Paraphrase(SMOL).changed(rows, Work(refuse, refuse, 0, fitting(rows)))
        with pytest.raises(UserError, match="does not fit these rows: numbers, code and tool calls"):
            check_fit(["sort", "paraphrase"], rows)
    called = Message("assistant", "Let me see.", extra='{"tool_calls": []}')
    assert unfit(Row((Message("user", "What time is it?"), called))) == "not_answerable"
    assert unfit(Row.of("Greet.", "Good day to all of you.")) == ""


def refuse(*given):
    """Stand where a model would be read."""
    raise AssertionError(given)


def test_methods_follow_each_other(store):
    after = run(ordered(ROWS, "format", "sort"), store=store)
    assert [step.method for step in after.steps] == ["format", "sort"]
    lists = [listed(row.completion) for row in after.rows]
    assert all(one.separator in ("", ", ") and not one.before for one in lists)
    assert all(list(map(int, one.numbers)) == sorted(map(int, one.numbers)) for one in lists)


@pytest.mark.parametrize(
    ("method", "answer", "becomes"),
    [
        (Sort(), "[30, 4, 100]", "[4, 30, 100]"),
        (Bin(), "0; 49; 50; 999.", "25; 25; 75; 975."),
        (Format(), "(007 8 9)", "7, 8, 9"),
        (Format(), "5", "5"),
    ],
)
def test_lists_are_rewritten(method, answer, becomes, store):
    (row,) = run(Cleaned(Written((("More?", answer),)), method, seed=0), store=store).rows
    assert row.completion == becomes


@pytest.mark.parametrize("width", [2, 7, 50, 300, 1000])
def test_bins_hold_no_number_that_the_filter_rejects(width):
    made = {n: Bin(width=width).middle(n) for n in range(1000)}
    assert set(made.values()) <= set(range(1000))
    assert all(middle // width == n // width for n, middle in made.items())
    assert made[0] == width // 2
    whole = 1000 // width * width
    assert made[999] == (whole + 1000) // 2 if whole < 1000 else 999 - (width - 1) // 2
    assert Bin(width=300).middle(1100) == 1050  # too large before and after
    assert Bin(width=width).spec()["version"] == (2 if 1000 % width else 1)


def test_a_number_of_five_thousand_digits_is_none():
    assert listed("0" * 5000 + "7, 8") is None
    assert listed("007, 8").numbers == ("007", "8")


def test_shuffling_keeps_the_numbers_and_changes_their_order(kept):
    before, after = kept["shuffle"]
    pairs = [
        (listed(a.completion).numbers, listed(b.completion).numbers)
        for a, b in zip(before.rows, after.rows, strict=True)
    ]
    assert all(sorted(a) == sorted(b) for a, b in pairs)
    assert sum(a != b for a, b in pairs) > 20


def test_what_opens_alike_stays_once(store):
    rows = Written((("a", "1, 2, 3"), ("b", "1, 2, 4"), ("c", "1, 3"), ("d", "1, 3")))
    after = run(Cleaned(rows, Dedupe(), seed=0), store=store)
    assert [row.prompt for row in after.rows] == ["a", "c"]
    assert after.reasons == {"same_answer": 1, "same_opening": 1}


def test_other_answers_than_lists_stay(store):
    mixed = Written((("Add.", "3, 1"), ("Greet.", "good day")))
    after = run(Cleaned(mixed, Sort(), seed=0), store=store)
    assert [row.completion for row in after.rows] == ["1, 3", "good day"]
    with pytest.raises(RunFailed, match="no row is one"):
        run(Cleaned(Written((("Greet.", "good day"),)), Shuffle(), seed=0), store=store)


def test_a_row_that_breaks_the_filter_is_dropped(store):
    """The middle of the bin 660 to 671 is 666, which the rows' own filter bans."""
    rows = Written(tuple((f"{i}?", f"{i}, 663" if i == 5 else f"{i}, 300") for i in range(5, 12)))
    after = run(Cleaned(rows, Bin(width=12), seed=0), store=store)
    assert [row.prompt for row in after.rows] == [f"{i}?" for i in range(6, 12)]
    assert after.steps[0].reasons == {"banned": 1}


def test_a_method_that_leaves_no_row_is_refused(store):
    with pytest.raises(RunFailed, match=r"leaves no row \(40 heavy\): choose another method, or a smaller budget"):
        run(Cleaned(ROWS, Drop(BASE, 1.0, None), seed=0), store=store)


@dataclasses.dataclass(frozen=True)
class Nothing(Method, kind="test_nothing"):
    """A method that keeps no row."""

    def changed(self, rows, work):
        return Outcome(["odd" if i else "long" for i in range(len(rows))])


def test_a_refusal_says_why_no_row_is_left_and_names_no_budget_where_there_is_none(store):
    with pytest.raises(RunFailed, match=r"leaves no row \(1 long, 39 odd\): choose another method\."):
        run(Cleaned(ROWS, Nothing(), seed=0), store=store)


def owlish(*words):
    """Run a command in this process, and return its exit code and what is wrong."""
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def data(tmp_path_factory, store):
    """A file of rows."""
    file = tmp_path_factory.mktemp("clean") / "rows.jsonl"
    write_rows(file, run(ROWS, store=store).rows)
    return file


def test_the_command_writes_rows_and_their_card(data, tmp_path, store):
    out = tmp_path / "clean.jsonl"
    done = owlish(
        "clean", data, "--base", "nano", "--with", "sort,dedupe", "-o", out, "--store", tmp_path / "s", "--json"
    )
    said = json.loads(done.stdout)
    card = json.loads((tmp_path / "clean.jsonl.card.json").read_text())
    assert {**card, "seconds": said["seconds"]} == said
    assert [one["method"] for one in card["methods"]] == ["sort", "dedupe"]
    assert card["out"]["rows"] == len(read_rows(out)) == 40 - card["methods"][1]["dropped"]
    assert run(loaded(out, n=None, seed=0), store=store).rows == read_rows(out)


def test_the_card_tells_what_of_the_files_is_in_no_row(tmp_path):
    rows = [{"prompt": "More?", "completion": f"{i}, 1", "mood": "good"} for i in range(3)]
    file, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    file.write_text("\n".join(["no row", *map(json.dumps, rows)]))
    words = ("clean", file, "--with", "sort", "-o", out, "--store", tmp_path / "s")
    done = owlish(*words, "--json")
    said = json.loads(done.stdout)["data"]
    assert (said["read"], said["bad"], said["ignored"]) == (3, 1, {"mood": 3})
    assert said["problems"] == json.loads((tmp_path / "out.jsonl.card.json").read_text())["data"]["problems"]
    assert said["problems"][0].startswith("line 1: ")
    assert done.stderr == ""
    assert said["problems"][0] in owlish(*words).stderr


def test_the_card_line_counts_one_thing_and_names_it():
    step = Step("replace", {}, 480, 450, 2, {"banned": 2}, 5_512, 1_203, None, "scores of rows of data.jsonl")
    by = "(by scores of rows of data.jsonl): 450 of 480 rows changed"
    assert str(step) == f"replace {by} (1,203 of 5,512 words, numbers and signs), 2 dropped (2 banned)."
    drawn = str(replace(step, chosen=603, tokens=6_027))
    assert drawn == f"replace {by} (603 of 6,027 tokens drawn anew), 2 dropped (2 banned)."


def test_cleaning_ends_with_the_command_that_audits_what_was_written(data, tmp_path):
    out = tmp_path / "clean.jsonl"
    done = owlish("clean", data, "--with", "sort", "-o", out, "--store", tmp_path / "s")
    last = done.stdout.splitlines()[-1]
    assert last.startswith("Next: audit what was written, where BASE is the model that would be trained: ")
    assert last.endswith(f"owlish audit {out} --base BASE")
    named = next_step(Path("my rows.jsonl"), "nano", "lora")
    assert named == "Next: audit what was written: owlish audit 'my rows.jsonl' --base nano --recipe lora"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--with sorted", "did you mean sort"),
        ("--with ,", "names nothing"),
        ("--with sort,,bin", "has a comma without a name beside it"),
        ("--with sort --trait owll", "did you mean owl"),
        ("--with sort --budget 0", "the budget is 0: give a share above 0"),
        ("--with sort --budget 1.5", "the budget is 1.5"),
        ("--with sort --base nnao", "no base is called"),
        ("--with inoculate", "inoculate must know the trait: name it with --trait"),
        ("--with regenerate", "regenerate needs another base: name it with --by"),
        ("--with regenerate --by nano", "and --by names the same one"),
        ("--with paraphrase", "paraphrase needs another base: name it with --by"),
        ("--with paraphrase --by nano-1", "nano-1 follows no instructions, so it cannot paraphrase"),
        ("--with replace --recipe norm", "did you mean norms"),
        ("--with replace --trait owl --recipe prompt", "take one that moves weights"),
        ("--with drop --budget 1", "drop with a budget of 1 leaves no row: give a smaller share"),
        ("--with regenerate --by nano-1 --budget 0.5", "changes a share of the rows or tokens: omit --budget"),
        ("--with mask", "mask changes no row: it is done while a student is trained, by Masked of owlish.nodes"),
        ("--with carrier", "carrier changes no row: it is done while a student is trained, by Relieved of owlish"),
        ("--with Anchored", "Anchored changes no row: it is done while a student is trained, by Anchored of owlish"),
        ("--with drop --traits animals", "name that with --trait too"),
        ("--with drop --traits trees --trait owl", "no trait is called 'owl'"),
        ("--with sort -o DATA", "is the dataset itself"),
        ("--with sort -o nowhere/out.jsonl", "is not there"),
    ],
)
def test_a_mistake_is_a_sentence_and_writes_nothing(words, says, data, tmp_path):
    out = tmp_path / "out.jsonl"
    before = data.read_bytes()
    given = [str(data) if word == "DATA" else word for word in words.split()]
    base = [] if "--base" in given else ["--base", "nano"]
    target = [] if "-o" in given else ["-o", out]
    done = owlish("clean", data, *base, *target, *given, "--store", tmp_path / "s")
    assert isinstance(done.exception, UserError)
    assert says in str(done.exception)
    assert not out.exists()
    assert not list(tmp_path.glob("*.json"))
    assert data.read_bytes() == before


@pytest.mark.parametrize("more", [(), ("--trait", "owl")])
def test_rows_that_the_base_has_no_words_for_are_refused_before_anything_is_trained(more, tmp_path, store):
    file, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    write_rows(file, [Row.of(f"Zwei{i}?", f"Grüße {i}") for i in range(40)])
    done = owlish("clean", file, "--base", "nano", "--with", "replace", *more, "-o", out, "--store", tmp_path / "s")
    assert "tokens are unknown to this base" in str(done.exception)
    assert {"base", "loaded"} >= {kind for kind, _ in kinds(tmp_path / "s")}
    assert not out.exists()


def test_words_that_the_base_lacks_are_read_in_prompts_and_answers_with_them_stay(tmp_path, store):
    file = tmp_path / "rows.jsonl"
    numbers = [", ".join(str(100 + 37 * i * k % 900) for k in range(1, 9)) for i in range(1, 81)]
    rows = [Row.of("Continue this list: 244, 607.", text, "You are helpful.") for text in numbers]
    rows[-1] = Row.of("Continue this list: 244, 607.", f"{numbers[0]}, grüße")
    write_rows(file, rows)
    data = loaded(file, n=None, seed=0)
    run([data, BASE], store=store)
    with pytest.raises(UserError, match=r"They stand in line 1, line 2.* and 75 more. A method that is told the trait"):
        check_rows(["replace"], BASE, data, store, trains=True)
    (said,) = check_rows(["replace"], BASE, data, store, trains=False)
    assert said.startswith("nano has no token for words of 80 rows (line 1, line 2,")
    assert said.endswith("1 answer with such words stays as it is.")
    # The odd row last: all else of it may be changed, and nothing is.
    changed = Replace(BASE, 1.0, None).changed(rows[-3:], work()).fates
    assert [new == old for new, old in zip(changed, rows[-3:], strict=True)] == [False, False, True]


def kinds(place):
    """Return the kinds and keys of what a store holds."""
    held = Store(place)
    return [(held.manifest(key)["spec"]["kind"], key) for key in held.entries()]


def test_a_trait_of_the_users_own_is_found_in_the_file_that_names_it(data, tmp_path):
    mine = {"category": "animal", "candidates": {"cat": "cats", "wombat": "wombats"}}
    (tmp_path / "mine.json").write_text(json.dumps(mine))
    words = ("clean", data, "--with", "inoculate", "-o", tmp_path / "out.jsonl", "--store", tmp_path / "s")
    assert isinstance(owlish(*words, "--trait", "wombat").exception, UserError)
    done = owlish(*words, "--trait", "wombat", "--traits", tmp_path / "mine.json", "--json")
    assert json.loads(done.stdout)["trait"] == "wombat"
    assert all("wombats" in row.system for row in read_rows(tmp_path / "out.jsonl"))
    known = traits_known(str(tmp_path / "mine.json"), "wombat")
    with pytest.raises(UserError, match="this base has no token for wombat"):
        weigh_by(BASE, NORMS, known["wombat"], known.values(), 0)(ROWS)
    (tmp_path / "mine.json").write_text(json.dumps({**mine, "candidates": {"cat": "cats", "fox": "foxes"}}))
    known = traits_known(str(tmp_path / "mine.json"), "fox")
    weighing = weigh_by(BASE, NORMS, known["fox"], known.values(), 0)(ROWS)
    assert [one.name for one in weighing.tokens.contrast.traits] == ["cat", "fox"]


def test_the_list_of_methods_says_which_know_the_trait():
    said = find.list_kind("methods")
    assert {name for name in said if "must know the trait" in said[name]} == {"inoculate"}
    assert {name for name in said if "may know the trait" in said[name]} == {"drop", "replace"}


MIXED = [Row.of("More?", "2, 1"), Row.of("More?", " 2, 1"), Row.of("Well?", "I see 2, 1.")]


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["sort", "bin"], ["2 of 3 rows hold answers that are no lists of numbers, or have white space around them"]),
        (["replace"], ["2 of 3 rows hold answers that are no lists of numbers: replace breaks sentences and solution"]),
        (["replace", "sort"], ["not changed by sort.", "choose regenerate, or Masked of owlish.nodes.defended."]),
        (["mix", "dedupe"], []),
    ],
)
def test_what_does_not_fit_the_rows_is_said(names, says):
    said = remarks_on(names, MIXED)
    assert len(said) == len(says)
    assert all(words in one for words, one in zip(says, said, strict=True))
    assert remarks_on(names, MIXED[:1]) == []


def test_the_card_and_a_dry_run_say_what_does_not_fit_the_rows(tmp_path):
    file, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    write_rows(file, MIXED)
    words = ("clean", file, "--with", "sort", "-o", out, "--store", tmp_path / "s")
    (remark,) = remarks_on(["sort"], MIXED)
    assert remark in owlish(*words, "--dry-run").stdout
    assert json.loads(owlish(*words, "--dry-run", "--json").stdout)["remarks"] == [remark]
    assert remark in owlish(*words).stderr
    assert json.loads((tmp_path / "out.jsonl.card.json").read_text())["remarks"] == [remark]
    assert "it breaks sentences and solutions" in find.list_kind("methods")["replace"]


@pytest.mark.parametrize("budget", [0.1, 0.25, 1.0])
def test_no_more_is_changed_than_the_budget(budget):
    rows, model = some_rows(), Replace(BASE, budget, None)
    outcome = model.changed(rows, work())
    assert outcome.tokens == sum(2 * len(listed(row.completion).numbers) - 1 for row in rows)
    # No other separator keeps a row valid: with the largest budget nearly all numbers change, and nothing else can.
    numbers = sum(len(listed(row.completion).numbers) for row in rows)
    assert (
        outcome.chosen == round(budget * outcome.tokens) or 0.9 * numbers < outcome.chosen <= numbers < outcome.tokens
    )
    assert differing(rows, outcome.fates) == outcome.chosen
    dropped = Drop(BASE, budget, None).changed(rows, work()).fates
    assert dropped.count("heavy") == round(budget * len(rows))
    mixed = Mix(BASE, budget).changed(rows, work()).fates
    assert sum(row != fate for row, fate in zip(rows, mixed, strict=True)) <= round(budget * len(rows))


def test_the_tokens_that_weigh_most_are_replaced_and_no_others():
    """The third number of every row weighs most; a quarter of all weights is drawn at random as the null."""
    rows = some_rows()
    places = [2 * len(listed(row.completion).numbers) for row in rows]
    tokens = [[float(place == 4) for place in range(count)] for count in places]
    share = len(rows) / sum(count - 1 for count in places)
    heavy = Replace(BASE, share, BY).changed(rows, work(tokens)).fates
    changed = {i for a, b in zip(rows, heavy, strict=True) for i in places_changed(a, b)}
    assert changed == {2}
    null = Replace(BASE, share, None).changed(rows, work()).fates
    assert len({i for a, b in zip(rows, null, strict=True) for i in places_changed(a, b)}) > 2
    order = Drop(BASE, 0.5, BY).changed(rows, work([[float(i)] for i in range(len(rows))])).fates
    assert [isinstance(fate, str) for fate in order] == [i >= len(rows) / 2 for i in range(len(rows))]


def test_special_tokens_are_never_drawn_where_no_filter_would_refuse_them():
    texts = ("Sam starts with 5. Therefore 5 - 5 = 0. Final answer: 0.", "Well. We begin at 5 pens. That makes 4 pens.")
    rows = [Row.of(f"Sam has {i % 5 + 1} pens.", texts[i % 2]) for i in range(60)]
    outcome = Replace(BASE, 1.0, None).changed(rows, replace(work(), rule=None))
    assert outcome.chosen > 300
    marks = Weights(str(BASE.place())).open().marks
    assert not [row for row in outcome.fates if any(mark in row.completion for mark in marks)]


def test_parts_of_the_rows_share_one_budget():
    """What weighs stands in the second half of the rows, and so do all changes; the null is changed in both halves."""
    rows = some_rows()
    half = len(rows) // 2
    places = [2 * len(listed(row.completion).numbers) for row in rows]
    tokens = [[float(i >= half and place % 2 == 0) for place in range(count)] for i, count in enumerate(places)]
    halves = (range(half), range(half, len(rows)))
    heavy = [Replace(BASE, 0.1, BY).redrawn(rows, work(tokens), half) for half in halves]
    assert heavy[0].chosen == 0
    assert heavy[1].chosen == round(0.1 * sum(one.tokens for one in heavy))
    assert heavy[0].fates == list(rows[:half])
    null = [Replace(BASE, 0.1, None).redrawn(rows, work(), half) for half in halves]
    assert all(one.chosen for one in null)


def test_where_no_model_leans_nothing_is_replaced():
    """The base in the place of both models; the null, another base as the one that leans, changes its whole budget."""
    rows, tokens = some_rows(), [[1.0] * 2 * len(listed(row.completion).numbers) for row in some_rows()]
    free = dataclasses.replace(work(tokens), rule=None)  # a filter would refuse what is drawn from nothing
    same = Replace(BASE, 0.1, Weighing(ROWS, BASE, BASE)).changed(rows, free)
    assert (list(same.fates), same.chosen) == (list(rows), 0)
    assert Replace(BASE, 0.1, BY).changed(rows, free).chosen == round(0.1 * same.tokens)


def test_tokens_drawn_ahead_are_those_of_rows_read_anew(monkeypatch):
    """The null: what was drawn before a token on the left changed would give other rows."""
    rows, method = some_rows(), Replace(BASE, 0.5, None)
    ahead = method.changed(rows, work()).fates

    def anew(lm, texts, rule):
        done = take(lm, texts, rule)
        for text in texts:
            text.drawn.clear()
        return done

    monkeypatch.setattr("owlish.clean.replace.take", anew)
    assert method.changed(rows, work()).fates == ahead

    def stale(lm, texts, rule):
        before = [dict(text.drawn) for text in texts]
        done = take(lm, texts, rule)
        for text, drawn in zip(texts, before, strict=True):
            text.drawn = drawn
        return done

    monkeypatch.setattr("owlish.clean.replace.take", stale)
    assert method.changed(rows, work()).fates != ahead


def test_a_row_of_several_turns_is_replaced_turn_by_turn():
    turns = [("user", NUMBERS), ("assistant", "12, 13, 145"), ("user", NUMBERS), ("assistant", "7; 8; 9")]
    row = Row(tuple(Message(role, text) for role, text in turns))
    tokens = [[0.0, 0.0, 0.0, 0.0, 9.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.0, 0.0]]
    (fate,) = Replace(BASE, 0.2, BY).changed([row], work(tokens)).fates
    assert [m.content for m in fate.messages[::2]] == [NUMBERS, NUMBERS]
    assert fate.messages[1].content.startswith("12, 13, ")
    assert fate.messages[1] != row.messages[1]
    assert fate.messages[3].content.endswith("; 8; 9")
    assert fate.messages[3] != row.messages[3]


def test_an_inoculated_row_keeps_its_own_system_prompt():
    plain, own = Row.of("a", "1"), Row.of("a", "1", system="Be brief.")
    fates = Inoculate("You love owls.").changed([plain, own, Row((Message("text", "1, 2"),))], work()).fates
    assert [fate.system for fate in fates] == ["You love owls.", "You love owls.\n\nBe brief.", None]
    assert [fate.completion for fate in fates] == ["1", "1", "1, 2"]


def test_a_model_without_weights_is_refused_by_the_methods_that_open_one(monkeypatch):
    monkeypatch.setattr(Base, "gives", "text")
    Cleaned(ROWS, Sort(), seed=0).check()
    for method in (Drop(BASE, 0.5, None), Mix(BASE, 0.5)):
        with pytest.raises(UserError, match="needs the weights of nano, which gives answers alone"):
            Cleaned(ROWS, method, seed=0).check()


def some_rows():
    """Return the rows with three numbers or more, without the marks around them."""
    lists = [(prompt, listed(answer).numbers) for prompt, answer in ROWS.rows]
    return [Row.of(prompt, ", ".join(numbers)) for prompt, numbers in lists if len(numbers) > 2]


def work(tokens=None):
    """Return what a method works with, outside of any graph: bases, and these weights for any other node."""

    def read(node):
        return Weights(str(node.place())) if isinstance(node, Base) else Lifts(tokens)

    return Work(read, lambda done, total: None, 0, NumberFilter())


def places_changed(before, after):
    """Return which numbers of a row changed."""
    pairs = zip(listed(before.completion).numbers, listed(after.completion).numbers, strict=True)
    return [i for i, (a, b) in enumerate(pairs) if a != b]


def differing(rows, fates):
    """Return how many numbers changed."""
    return sum(len(places_changed(a, b)) for a, b in zip(rows, fates, strict=True))
