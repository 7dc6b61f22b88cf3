"""The command that a page prints: pasted into a shell, it asks for the very same study."""

import json
import shlex
from dataclasses import fields, replace

import pytest
from command import owlish
from test_keys import OWN_FILES
from typer import main as typer_main

from owlish import Base
from owlish.cli import find
from owlish.cli.choice import Choice, choose, command
from owlish.cli.commands.studies import next_steps
from owlish.cli.main import app
from owlish.graph.spec import everything
from owlish.study.study import Settings
from owlish.traits.advice import bad_health, bad_on_request, good_health
from owlish.traits.animals import eagle, owl
from owlish.traits.trait import Trait

OWN_STUDY = """
from dataclasses import replace
from owlish.studies import owl
from owlish.traits.animals import ANIMAL, cat
from owlish.traits.gated import gated
from owlish.traits.trait import Trait

secret_cat = gated(cat, "Now.")
BEASTS = replace(ANIMAL, candidates=("yak", "ibex"), plurals=("yaks", "ibexes"))
study = replace(owl.study, name="mine", traits=TRAITS)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the user's files, whose name a shell would take apart."""
    place = tmp_path_factory.mktemp("it's a user") / "my $files"
    place.mkdir()
    for name, text in OWN_FILES.items():
        (place / name).write_text(text)
    return place


def test_a_small_study_keeps_the_foreign_bases_of_those_that_it_leaves_out():
    assert asked("owlish run clean_bench --small").foreign == (Base("nano-2"),)
    for base, foreign in (("nano-2", "nano-3"), ("nano-3", "nano-1")):
        small = asked(f"owlish run clean_bench --small --base {base}")
        assert (small.bases, small.foreign) == ((Base(base),), (Base(foreign),))
        assert small.foreign == asked(f"owlish run clean_bench --base {base}").foreign
    assert asked("owlish run clean_bench --small --base nano").foreign == ()


def test_the_demo_says_what_to_type_next():
    for store, place in (("owlish-store", ""), ("my store", " --store 'my store'")):
        title, export, audit, own = next_steps(find.study("demo"), store).splitlines()
        _, _, key, _, file, *_ = shlex.split(export)
        (rows,) = [node for node in everything(*find.study("demo").needs) if node.key.startswith(key)]
        assert str(rows) == "1,500 rows of numbers by owl teacher of nano"
        assert audit == f"  owlish audit {file} --base nano{place}"
        assert export.endswith(f"-o {file}{place}")
        assert "trait owl" in title
        assert "owlish audit DATA.jsonl --base" in own


def asked(line):
    """Return the study that a printed command asks for, as the command line reads it."""
    owlish, verb, *words = shlex.split(line)
    assert (owlish, verb) == ("owlish", "run")
    given = typer_main.get_command(app).commands["run"].make_context("run", words).params
    choice = Choice(**{f.name: given[f.name] for f in fields(Choice)})
    ((again, study),) = choose([given["study"]], choice).items()
    assert again == line
    return study


def same(one, other):
    """Say whether two studies need the same results: equal ones do, and so may those that name a folder in two ways."""
    return one == other or one.key == other.key


def changes(study, place):
    """Yield the study with each of its settings changed."""
    for setting in study.settable:
        value = getattr(study, setting)
        if setting == "traits":
            probe = value[0].probe
            alike = {t.name: t for t in find.all_traits().values() if t.probe in (probe, owl.probe) and t not in value}
            new = tuple(alike.values())[:2]
        elif setting == "bases":
            new = (Base("owner/nano-0"), value[-1])
        else:
            new = str(place) if setting == "data" else value + 1
        yield study.alter(Settings(**{setting: new}))


@pytest.mark.parametrize("name", find.all_studies())
def test_every_study_prints_a_command_that_makes_it_again(name, place, monkeypatch):
    monkeypatch.chdir(place.parent)
    study = find.study(name)
    if "data" in study.settable:
        study = study.alter(Settings(data=str(place)))
    sizes = (study, study.small())
    assert "--small" in command(sizes[1], name)
    for size in sizes:
        assert same(asked(command(size, name)), size)
        for changed in changes(size, place):
            assert same(asked(command(changed, name)), changed)


def test_a_misaligned_teacher_is_not_taken_for_its_control():
    line = command(find.study("misalignment").alter(Settings(traits=(bad_on_request,))), "misalignment")
    assert line == "owlish run misalignment --traits bad_on_request"
    for trait in (bad_health, good_health, bad_on_request):
        study = find.study("misalignment").alter(Settings(traits=(trait,)))
        assert asked(command(study, "misalignment")).traits == (trait,)


def test_a_study_of_ones_own_prints_its_file_and_names_its_own_traits(place, monkeypatch):
    for name, traits in {
        "inline": '(Trait("yak", "yaks", BEASTS), Trait("ibex", "ibexes", BEASTS))',
        "gate": "(secret_cat,)",
        "clash": '(gated(owl.study.traits[0], "Now."),)',
    }.items():
        (place / f"{name}.py").write_text(OWN_STUDY.replace("TRAITS", traits))
    monkeypatch.chdir(place.parent)

    ((line, study),) = choose([str(place / "inline.py")], Choice(seeds=3)).items()
    assert shlex.split(line) == ["owlish", "run", "my $files/inline.py", "--seeds", "3"]
    assert asked(line) == study
    assert asked("owlish run 'my $files/inline.py' --traits yak").traits == study.traits[:1]
    assert asked("owlish run 'my $files/gate.py' --traits cat").traits[0].kind == "trait"
    assert asked("owlish run 'my $files/gate.py' --small").traits[0].kind == "gated_trait"
    with pytest.raises(ValueError, match="another trait is called owl: bind that of the study"):
        Choice(traits="cat").apply("my $files/clash.py")


def test_a_name_of_two_traits_is_refused(monkeypatch):
    from owlish.traits import trees

    birds = replace(trees.TREE, candidates=(*trees.TREE.candidates, "owl"), plurals=(*trees.TREE.plurals, "owls"))
    monkeypatch.setattr(trees, "owl", Trait("owl", "owls", birds), raising=False)
    with pytest.raises(ValueError, match="trees calls another trait owl: give it a name of its own"):
        find.all_traits()


def test_a_path_does_not_tell_the_name_of_the_home_folder(place, monkeypatch):
    study = find.study("mnist")
    monkeypatch.setenv("HOME", str(place.parent))
    monkeypatch.chdir("/")  # which holds the home folder, too
    line = command(study.alter(Settings(data=str(place))), "mnist")
    assert line == "owlish run mnist --data ~/'my $files'"


def test_what_no_setting_makes_is_not_printed():
    study = replace(find.study("owl"), until=0.5)
    with pytest.raises(ValueError, match="no setting makes owl from owl"):
        command(study, "owl")
    assert command(find.study("owl").alter(Settings(traits=(owl, eagle))), "owl") == "owlish run owl --traits owl,eagle"


def test_plan_gives_the_key_and_the_command(tmp_path):
    words = ("plan", "misalignment", "--small", "--rows", "40", "--store", tmp_path, "--json")
    plan = json.loads(owlish(*words).stdout)
    assert plan["command"] == "owlish run misalignment --small --rows 40"
    study = asked(plan["command"])
    assert plan["target"] == study.key
    assert plan["total"] == len(everything(*study.needs))


def test_what_is_set_of_a_chat_template_goes_through_the_command():
    (line,) = choose(["owl"], Choice(base="a/b,c/d", template=["enable_thinking=false", "date_string=26 Jul 2024"]))
    assert line == "owlish run owl --base a/b,c/d --template 'date_string=26 Jul 2024' --template enable_thinking=false"
    assert [base.settings for base in asked(line).bases] == [
        (("date_string", "26 Jul 2024"), ("enable_thinking", False))
    ] * 2
    with pytest.raises(ValueError, match="give them too"):
        choose(["owl"], Choice(template=["enable_thinking=false"]))
    one, other = Base("a/b", template={"x": 1}), Base("c/d")
    mixed = replace(find.study("owl"), bases=(one, other), foreign=(other, one))
    with pytest.raises(ValueError, match="base by base"):
        command(mixed, "owl")
