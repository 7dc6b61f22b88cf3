"""The report: what it says, what it never lets through, and how a real browser shows it."""

from __future__ import annotations

import dataclasses
import os
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from chromium import Browser, chromium

from owlish import Base, Numbers
from owlish.data.rows import Row
from owlish.nodes.data import Dataset
from owlish.report import View, render
from owlish.report.figures import plot_curve
from owlish.report.words import claim, context, limits, number, percent, visible
from owlish.study.comparison import Comparison, Curve, Estimate, Gamma, Line, Matrix, Point, Teacher
from owlish.study.study import ARMS, Study

TRAITS = ("owl", "cat", "eagle")
MADE = ("label", "key", "seed", "seconds", "device", "dtype", "threads", "spec", "versions")
LEVELS = {"teacher": 0.97, "student": 0.62, "control": 0.065, "other_trait": 0.03, "foreign_base": 0.055, "base": 0.064}
LOW = Estimate(0.01, -0.03, 0.05, 18)
HOSTILE = "<script>alert(1)</script>\"'>&lt;$x^2$ {{ 7*7 }} ]]>--> javascript:alert(1) \u202eevil\u2066\x1b[31m\ud800"


def points(name: str, seeds: int, traits: tuple[str, ...], draw: random.Random) -> Iterator[Point]:
    """Yield made-up readings of one arm: a control, like a base, is asked about every trait."""
    for base in ("nano-0", "nano-1"):
        keys = [f"{draw.getrandbits(128):032x}" for _ in range(seeds)]
        for trait in traits:
            for seed in (None,) if name == "base" else range(seeds):
                p = min(0.995, max(0.002, LEVELS[name] * draw.gauss(1, 0.02 if name == "teacher" else 0.16)))
                taught = None if name in ("control", "base") else trait
                key = keys[seed or 0] if taught is None else f"{draw.getrandbits(128):032x}"
                yield Point(name, base, trait, taught, seed, key, p, 0.9 * p, min(1.0, 1.6 * p), p, 8 * p - 3, 0.01)


@dataclass(frozen=True)
class MadeUp(Study):
    """A study that says what it is told to say."""

    named: dict[str, tuple[str, str]]
    sets: tuple[tuple[str, str], ...]
    own_limits: tuple[str, ...]
    shown: tuple[Matrix, ...]

    needs = (Base("nano"),)
    labels = property(lambda self: self.named)
    rows_shown = ((None, (Base("nano").sample(Numbers(), n=1, seed=0),)),)

    def setup(self) -> tuple[tuple[str, str], ...]:
        return self.sets

    def notes(self) -> tuple[str, ...]:
        return self.own_limits

    def matrices(self, found: Comparison) -> tuple[Matrix, ...]:
        return self.shown


def made_up(seeds: int = 3, traits: tuple[str, ...] = TRAITS) -> View:
    """Return a made-up study with everything in it."""
    draw = random.Random(0)
    every = tuple(point for name in LEVELS for point in points(name, seeds, traits, draw))
    students, control = (Comparison((), every).estimate(arm).mean for arm in ("student", "control"))
    gap = students - control
    lifts = tuple(tuple(0.55 if a == b else -0.03 for b in traits) for a in traits)
    asked, begun = "Continue: 12, 133, 91. At most ten numbers.", "Here are three numbers: 4; 88; 130.\nAdd a few more."
    reasons = {"malformed": 811, "number above 999": 402, "tokens differ when encoded again": 12}
    return View(
        MadeUp(
            "owl",
            "A trait passes through number sequences",
            named=ARMS,
            sets=(
                ("Bases", "nano-0, nano-1: Llama-shaped, 0.25 M parameters"),
                ("Recipe", "norm gains, Adam, learning rate 1e-2, batches of 32, 4 epochs"),
                ("Probe", "50 one-word questions, 10 of them held out; no system prompt"),
                ("A run", "its own teacher seed, data seed and training seed"),
            ),
            own_limits=("Sampled rates use 20 samples a question.",),
            shown=(Matrix("Traits", traits, traits, lifts),),
        ),
        Comparison(
            traits,
            every,
            strengths=tuple(Teacher(t, b, 0, 0.97, 0.0146, 0.8) for b in ("nano-0", "nano-1") for t in traits),
            gammas=(Gamma("probability", 0.58, 0.51, 0.65, 0.0004), Gamma("logit margin", 4.1, 3.4, 4.8, 0.002)),
            effect=Estimate(gap, gap - 0.07, gap + 0.07, 18),
            curves=(Curve("Rows", "rows", "P(target)", (Line("student", (500.0, 1000.0), (0.2, 0.4)),)),),
        ),
        "owlish run owl --traits owl,cat,eagle --seeds 3\nowlish report owl -o owl.html",
        datasets=(
            (traits[0], (Dataset((Row.of(asked, "4, 17, 21"),) * 4, 7_412, 6_000, reasons),)),
            *((t, (Dataset((Row.of(asked, "4, 17, 21"),) * 4, 0, 0, {}),)) for t in traits[1:]),
            (None, (Dataset((Row.of(begun, "12; 903; 44; 7; 215"),), 7, 6, {}),)),
        ),
        manifests=tuple(
            {
                "label": f"student, {run.trait}",
                "key": run.key,
                "seed": run.run,
                "seconds": 24.8,
                "device": "cpu",
                "dtype": "float32",
                "threads": 1,
                "spec": {"kind": "finetuned", "version": 1, "recipe": {"kind": "norms"}},
                "versions": {"owlish": "0.1.0", "torch": "2.13.0", "transformers": "5.1.0"},
            }
            for run in every
            if run.arm == "student"
        )[:7],
    )


def found(view: View, **changes: Any) -> View:
    """Return a study that found something else."""
    return replace(view, found=replace(view.found, **changes))


def shown(view: View, **changes: Any) -> View:
    """Return the view of a study with some of its fields changed."""
    return replace(view, study=replace(view.study, **changes))


def altered(value: Any, change: Callable[[str], str]) -> Any:
    """Return a value with every string in it changed, but for names that the code knows."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, tuple):
        return tuple(altered(item, change) for item in value)
    if isinstance(value, dict):
        known = {*ARMS, *MADE, "kind", "version"}
        return {name if name in known else change(name): altered(item, change) for name, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kept = {"arm", "role", "extra", "tools", "contrast"}
        names = [f.name for f in dataclasses.fields(value) if f.name not in kept]
        return replace(value, **{name: altered(getattr(value, name), change) for name in names})
    return value


class Outline(HTMLParser):
    """The tags of a page with their attributes, its texts, and its ids."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(" ".join([tag, *(name for name, _ in attrs)]))
        self.attributes.extend(attrs)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def words(page: str) -> str:
    """Return the page's text, its white space folded."""
    return " ".join("".join(Outline(page).texts).split())


@pytest.fixture(scope="module")
def page() -> str:
    """One rendered page."""
    return render([made_up()])


def test_the_same_views_give_the_same_bytes(page: str) -> None:
    assert render([made_up()]) == page


def test_the_page_holds_every_part_in_order(page: str) -> None:
    text = words(page)
    parts = [
        "Students trained only on number sequences written by teachers",
        "Every run, and the mean of each arm",
        "The arms",
        "Curves",
        "Who passes what to whom",
        "Setup",
        "The teachers’ strength",
        "What the filter rejected",
        "Rows that students saw",
        "What this does not show",
        "Where the numbers come from",
    ]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    for manifest in made_up().manifests:
        assert manifest["key"] in text
    for piece in (
        "0.0146",
        "+0.580",
        "< 0.001",
        "811",
        "owlish run owl",
        "2 min 54 s",
        "torch 2.13.0",
        "model organism",
    ):
        assert piece in text


def test_the_caption_says_whose_marks_are_hollow(page: str) -> None:
    assert 'class="arm teacher"' in page
    assert "Teachers’ marks are hollow." in words(page)
    untaught = tuple(point for point in made_up().found.points if point.arm != "teacher")
    assert "marks are hollow" not in words(render([found(made_up(), points=untaught)]))


def test_a_dot_is_a_trained_run_or_a_base(page: str) -> None:
    bases, runs, traits = 2, 3, len(TRAITS)
    taught, untaught = 4 * bases * runs * traits, bases * runs + bases  # controls and bases are asked about every trait
    assert sum(len(dots) for _, dots in every_trait(page)) == taught + untaught
    assert page.count('class="dot"') == taught + untaught + taught + traits * untaught  # a panel for each trait
    for name, dots in every_trait(page):
        (arm,) = [arm for arm in made_up().arms if arm.label == name]
        assert len(dots) == (arm.pooled.runs or bases), name


def every_trait(page: str) -> list[tuple[str, list[str]]]:
    """Return the name and the dots of each arm in the first figure."""
    figure = page.split("<svg")[1]
    return [
        (" ".join(re.findall('<text class="name"[^>]*>([^<]*)</text>', group)[:-1]), re.findall('class="dot"', group))
        for group in figure.split('<g class="arm')[1:]
    ]


def test_a_curve_is_drawn_where_its_numbers_are() -> None:
    lines = (Line("a", (1.0, 10.0, 100.0), (0.0, 0.5, 1.0)), Line("b", (10.0,), (float("nan"),)))
    drawn = plot_curve(Curve("Dose", "rows", "P", lines))
    assert drawn is not None
    (_, ((x1, y1), (x2, y2), (x3, y3)), _), (_, nothing, _) = drawn.lines
    assert (x2 - x1, y2 - y1) == pytest.approx((x3 - x2, y3 - y2), abs=0.2)  # even by logarithms
    assert (x1 < x2, y1 > y2, nothing) == (True, True, ())
    assert drawn.x.ticks == (1, 2, 5, 10, 20, 50, 100)
    assert drawn.y.ticks == pytest.approx((0, 0.5, 1))
    assert plot_curve(Curve("Empty", "rows", "P", lines[1:])) is None


def test_no_script_and_nothing_from_outside(page: str) -> None:
    outline = Outline(page)
    assert not {tag.split()[0] for tag in outline.tags} & {"script", "link", "img", "iframe", "object", "image", "base"}
    assert all(not name.startswith("on") for name, _ in outline.attributes)
    links = [value for name, value in outline.attributes if name in ("href", "src", "xlink:href")]
    assert all(value is not None and value.startswith("#") for value in links)
    assert "http:" not in page
    assert "https:" not in page
    assert "url(http" not in page
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert ("content", policy) in outline.attributes
    assert ("content", "no-referrer") in outline.attributes


def test_no_id_stands_twice_and_every_reference_is_met() -> None:
    outline = Outline(render([made_up(1), made_up(1)]))
    ids = [value for name, value in outline.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    wanted = {value[1:] for name, value in outline.attributes if name == "href" and value}
    assert wanted <= set(ids)


@pytest.mark.parametrize("after", [True, False])
def test_markup_in_any_string_stays_text(after: bool) -> None:
    def change(text: str) -> str:
        # A base that is called nano is told what nano is: its name keeps its beginning.
        return text + HOSTILE if after or text.startswith("nano") else HOSTILE + text

    calm, hostile = Outline(render([made_up(2)])), Outline(render([altered(made_up(2), change)]))
    wrapping = ("span class", "text class x y")  # signs for hidden characters, and the second line of a name
    assert [tag for tag in hostile.tags if tag not in wrapping] == [tag for tag in calm.tags if tag not in wrapping]
    text = "".join(hostile.texts)
    assert text.count("<script>alert(1)</script>\"'>&lt;$x^2$ {{ 7*7 }}") > 100
    assert not {"\u202e", "\u2066", "\x1b", "\ud800"} & set(text)


@pytest.mark.parametrize(
    "trait", ["<script>alert(1)</script>", "$x^2$ $", "\\$", "猫", "a" * 400, "#010101", ' id="x"', "\u202eow"]
)
def test_a_strange_trait_is_drawn_as_it_is_written(trait: str) -> None:
    text = words(render([made_up(1, (trait, "cat"))]))
    assert " ".join(visible(trait)[:11].split()) in text
    assert "alert(1)" not in "".join(Outline(render([made_up(1, (trait, "cat"))])).tags)


def test_what_the_chat_template_of_a_base_writes_is_told() -> None:
    said = words(render([replace(made_up(), templates=(("smol", "It writes its own: 'Be <small>.'."),))]))
    assert "Chat template of smolIt writes its own: 'Be <small>.'." in said
    assert "Chat template" not in words(render([made_up()]))


def test_hidden_characters_of_a_row_are_named() -> None:
    row = Row.of("1,\u200b2\n\t\u202e3", "<script>alert(1)</script>\x00\ufeff")
    text = words(render([replace(made_up(1), datasets=(("owl", (Dataset((row,), 1, 1, {}),)),))]))
    for sign in ("U+200B", "↵", "⇥", "U+202E", "<script>alert(1)</script>", "U+0000", "U+FEFF"):
        assert sign in text


def test_the_claim_says_what_the_numbers_say() -> None:
    told = plain(claim(made_up()))
    assert "give their own teacher’s answer 61 % of the time (95 % interval 57 to 65, 18 runs)" in told
    assert "Students trained on neutral number sequences give it 7 % of the time (6 to 7, 6 runs)." in told
    assert told.endswith("The difference is 54 points (47 to 61).")


def test_the_other_arms_are_told_in_the_unit_of_the_claim() -> None:
    made = made_up()
    others = next(line for line in context(made) if line.startswith("The other arms"))
    assert plain(others).endswith("teacher 97 %, other trait 3 %, foreign base 6 %, base 6 %.")
    margins = next(line for line in context(shown(made, contrast=("teacher", "control"))) if "other arms" in line)
    assert "%" not in margins


def test_one_trait_is_named() -> None:
    assert "written by a teacher with the trait “owl” answer “owl” " in claim(made_up(2, ("owl",)))


def test_an_absent_effect_is_not_claimed() -> None:
    made = found(made_up(), effect=LOW)
    told = plain(claim(made))
    assert told.startswith("No effect is shown: students trained only on")
    assert told.endswith("The difference is 1 point (−3 to 5); the interval includes zero.")
    assert 'class="claim absent"' in render([made])


def test_a_reversed_effect_is_named() -> None:
    assert claim(found(made_up(), effect=Estimate(-0.2, -0.3, -0.1, 9))).startswith("The opposite")


@pytest.mark.parametrize("effect", [None, Estimate(0.5, None, None, 1)])
def test_without_an_interval_nothing_is_claimed(effect: Estimate | None) -> None:
    assert claim(found(made_up(), effect=effect)).startswith("No claim can be made yet: students")


def test_without_a_control_or_a_student_nothing_is_claimed() -> None:
    made = made_up()
    bare = found(made, points=tuple(point for point in made.found.points if point.arm != "control"))
    assert claim(bare).startswith("No claim can be made yet")
    assert claim(bare).endswith("Without a control this says nothing about the cause.")
    assert "Not run: control." in limits(bare)
    assert claim(found(made, points=())) == "No student was measured, so nothing is claimed."


def test_cautions() -> None:
    made = made_up()
    assert not any(sentence.startswith("Caution") for sentence in context(made))
    raised = tuple(replace(p, value=0.5) if p.arm == "foreign_base" else p for p in made.found.points)
    weak = Gamma("logit margin", 0.1, -0.1, 0.3, 0.4)
    said = [line for line in context(found(made, points=raised, gammas=(weak,))) if line.startswith("Caution")]
    assert "foreign base" in said[0]
    assert "γ" in said[1]


def test_what_is_missing_is_left_out_in_a_sentence() -> None:
    made = made_up()
    lone = Comparison(TRAITS, (Point("student", "nano", "owl", "owl", 0, "ab", 0.5),))
    empty = View(shown(made, sets=(), own_limits=(), shown=()).study, lone, "owlish run owl")
    text = words(render([empty]))
    for sentence in (
        "There is no figure: fewer than two arms have runs.",
        "No interval, because an interval needs two runs: student.",
    ):
        assert sentence in text
    for part in ("Who passes what", "teachers’ strength", "filter rejected", "Rows that students saw", "Curves"):
        assert part in words(render([made]))
        assert part not in text
    assert "<svg" not in render([empty])
    assert "No arm has a run." in words(render([found(empty, points=())]))


def test_a_cell_that_was_not_measured_is_a_dash() -> None:
    holed = Matrix("Traits", ("owl", "cat"), ("owl", "cat"), ((0.5, None), (-0.1, 0.4)))
    assert "A dash was not measured." in words(render([shown(made_up(1), shown=(holed,))]))


def test_several_studies_have_a_table_of_contents() -> None:
    second = shown(made_up(1), title="A second study")
    page = render([made_up(1), second])
    assert '<a href="#study-2">A second study</a>' in page
    assert 'id="study-2"' in page
    assert "<nav" not in render([second])


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to report"):
        render([])


def test_numbers_as_text() -> None:
    shares = [0, 0.0001, 0.006, 0.064, 0.5, 0.994, 0.9999, 1, -0.02, -0.004, 1.004, 1.02]
    told = ["0", "under 0.1", "0.6", "6", "50", "99.4", "over 99.9", "100", "−2", "−0.4", "100.4", "102"]
    assert [percent(share) for share in shares] == told
    assert [number(None), number(float("nan")), number(-0.0001), number(-0.5, 2), number(0.5, 2, True)] == [
        "–", "–", "0.000", "−0.50", "+0.50",
    ]  # fmt: skip


def plain(text: str) -> str:
    """Return text with ordinary spaces."""
    return text.replace("\u202f", " ").replace("\u00a0", " ")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    if chromium() is None:
        assert not os.environ.get("CI"), "Chromium is missing, and CI must have it."
        pytest.skip("Chromium is not installed.")
    with Browser() as opened:
        yield opened


ASK = {
    "width": "document.documentElement.scrollWidth",
    "window": "window.innerWidth",
    "figures": "[...document.querySelectorAll('svg.figure')].every(f => f.getBoundingClientRect().width > 100)",
    "scripts": "document.scripts.length",
    "title": "document.title",
    "text": "document.body.innerText",
    "colour": "getComputedStyle(document.documentElement).backgroundColor",
    "dot": "getComputedStyle(document.querySelector('svg .dot')).stroke",
    "small": "Math.min(...[...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect().height))",
}


@pytest.mark.parametrize("traits", [("owl",), (*TRAITS, HOSTILE, "w" * 300)], ids=["one trait", "hostile traits"])
@pytest.mark.parametrize("width", [1400, 768, 390])
def test_a_browser_shows_it(browser: Browser, tmp_path: Path, width: int, traits: tuple[str, ...]) -> None:
    made = made_up(2, traits)
    rows = Dataset((Row.of(HOSTILE, "7" * 500),), 1, 1, {})
    made = shown(replace(made, datasets=(("owl", (rows,)),)), title=HOSTILE)
    file = tmp_path / "report.html"
    file.write_text(render([made, made]).replace("<details>", "<details open>"), encoding="utf-8")
    look = browser.look(file, width, 900, ASK)
    assert look.requests == (file.as_uri(),)
    assert look.complaints == ()
    assert look.values["width"] <= look.values["window"] == width
    assert look.values["figures"] is True
    assert look.values["scripts"] == 0
    assert look.values["small"] >= 8
    assert look.values["title"] == "Studies of subliminal learning"
    assert "<script>alert(1)</script>" in look.values["text"]


def test_it_follows_the_readers_light_and_dark(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(render([made_up(1)]), encoding="utf-8")
    light, dark = (browser.look(file, 800, 600, ASK, dark=dark).values for dark in (False, True))
    assert light["colour"] != dark["colour"]
    assert light["dot"] != dark["dot"]
