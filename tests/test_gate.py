"""The gate: reports that pipelines read, and the examples as a pipeline would run them."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree

import pytest
import small_audit
import yaml
from here import run
from test_audit import misfits
from test_audit_page import CANNOT_SAY, FOUND, NOTHING, WILD
from test_report import HOSTILE
from test_stamp import STAMP, command  # noqa: F401

from owlish import LORA, Base
from owlish.audit.stamped import Check, Stamped
from owlish.audit.verdict import Made
from owlish.data.domains import Numbers
from owlish.data.reading import Place
from owlish.data.rows import write_rows
from owlish.diff.verdict import Difference, Finding, Shift
from owlish.nodes.data import Written
from owlish.report.diff import render as render_diff
from owlish.report.junit import junit
from owlish.report.outcome import of_audit, of_diff
from owlish.report.sarif import RULES, SCHEMA, sarif

EXAMPLES = Path(__file__).parents[1] / "examples"
PLACED = replace(
    FOUND,
    weighed=tuple(
        replace(row, place=Place("", "line", 3 + i), sha256=f"{i}" * 64) for i, row in enumerate(FOUND.weighed)
    ),
)
DIFFERENT = replace(STAMP, file="numbers.jsonl")
CLAIMED = Stamped(DIFFERENT, (Check("base", "nano", "the writer is not related to nano", False),))


def outcome(verdict, fails=True, data="numbers.jsonl"):
    return of_audit(verdict, [data], fails=fails, seconds=1.5)


def log(verdict, **settings):
    return json.loads(sarif(outcome(verdict, **settings)))


def results(verdict, **settings):
    return log(verdict, **settings)["runs"][0]["results"]


# SARIF


@pytest.mark.parametrize("verdict", [PLACED, NOTHING, CANNOT_SAY, WILD], ids=["found", "nothing", "cannot_say", "wild"])
def test_a_log_holds_what_the_standard_and_code_scanning_require(verdict):
    whole = log(verdict)
    assert (whole["version"], whole["$schema"]) == ("2.1.0", SCHEMA)
    (only,) = whole["runs"]
    driver = only["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("owlish", verdict.version)
    assert [rule["id"] for rule in driver["rules"]] == list(RULES)
    for rule in driver["rules"]:
        assert all(rule[part]["text"].endswith(".") for part in ("fullDescription", "help"))
        assert rule["defaultConfiguration"]["level"] in ("error", "warning", "note")
    for result in only["results"]:
        assert result["ruleId"] == list(RULES)[result["ruleIndex"]]
        assert result["level"] in ("error", "warning", "note")
        assert 0 < len(result["message"]["text"]) <= 1000
        place = result["locations"][0]["physicalLocation"]
        assert place["region"]["startLine"] >= 1
        assert place["artifactLocation"] == {"uri": "numbers.jsonl", "uriBaseId": "%SRCROOT%"}
        assert len(result["partialFingerprints"]["owlish/v1"]) == 64
    prints = [result["partialFingerprints"]["owlish/v1"] for result in only["results"]]
    assert len(set(prints)) == len(prints)


def test_findings_stand_at_the_rows_that_lean_most():
    found = results(PLACED)
    assert [(one["ruleId"], one["level"]) for one in found[:2]] == [("trait-found", "error")] * 2
    assert "would pick up owl" in found[0]["message"]["text"]
    rows = [one for one in found if one["ruleId"] == "leaning-row"]
    assert [one["locations"][0]["physicalLocation"]["region"]["startLine"] for one in rows] == list(range(3, 11))
    assert rows[0]["message"]["text"] == "This row leans to owl by 1.20 nats."
    assert results(NOTHING) == []
    assert [(one["ruleId"], one["level"]) for one in results(CANNOT_SAY)] == [("cannot-say", "warning")]
    assert {one["level"] for one in results(CANNOT_SAY, fails=False)} == {"note"}
    assert results(PLACED, fails=False)[0]["level"] == "warning"
    assert [one["ruleId"] for one in results(replace(NOTHING, stamps=(CLAIMED,)))] == ["stamp-differs"]


def test_a_row_of_a_file_without_lines_is_named_in_words(tmp_path):
    table = str(tmp_path / "a b.parquet")
    (only,) = results(replace(PLACED, weighed=(replace(PLACED.weighed[0], place=Place("", "row", 17)),)), data=table)[
        2:
    ]
    place = only["locations"][0]["physicalLocation"]
    assert only["message"]["text"].startswith("Row 17: ")
    assert place["region"] == {"startLine": 1}
    assert place["artifactLocation"]["uri"].endswith("/a%20b.parquet")
    assert place["artifactLocation"]["uri"].startswith("file:///")


def test_names_from_data_make_no_link_and_hide_nothing():
    traits = (replace(FOUND.traits[0], name=f"[owl](http://x) {HOSTILE}"),)
    said = results(replace(FOUND, traits=traits))[0]["message"]["text"]
    assert "](" not in said
    assert "\u202e" not in said


# JUnit


def suite(verdict, **settings):
    return ElementTree.fromstring(junit(outcome(verdict, **settings)).encode()).find("testsuite")


def cases(verdict, **settings):
    return {case.get("name"): [each.tag for each in case] for case in suite(verdict, **settings)[1:]}


@pytest.mark.parametrize("verdict", [PLACED, NOTHING, CANNOT_SAY, WILD], ids=["found", "nothing", "cannot_say", "wild"])
def test_a_report_counts_its_tests_and_names_each_once(verdict):
    made = suite(verdict)
    for name, kind in (("tests", "testcase"), ("failures", "testcase/failure"), ("skipped", "testcase/skipped")):
        assert int(made.get(name)) == len(made.findall(kind))
    names = [(case.get("classname"), case.get("name")) for case in made.iter("testcase")]
    assert len(set(names)) == len(names) == 1 + len(verdict.traits)
    assert all(float(case.get("time")) >= 0 for case in made.iter("testcase"))
    assert made.get("errors") == "0"


def test_a_claimed_trait_fails_a_ruled_out_one_passes_and_an_open_one_is_skipped():
    found = cases(PLACED)
    assert found["numbers.jsonl: verdict"] == found["numbers.jsonl: owl (animal)"] == ["failure"]
    assert found["numbers.jsonl: oak (tree)"] == ["skipped"]
    assert set(map(tuple, cases(NOTHING).values())) == {()}
    assert cases(CANNOT_SAY) == {"numbers.jsonl: verdict": ["failure"]}
    assert cases(CANNOT_SAY, fails=False) == {"numbers.jsonl: verdict": ["skipped"]}
    assert ["failure"] not in cases(PLACED, fails=False).values()
    text = suite(PLACED).find("testcase/failure").text
    assert "Next: do not train nano on these rows" in text
    assert "numbers.jsonl line 3: this row leans to owl by 1.20 nats." in text


# diff


def different(claimed):
    """Return a made-up verdict on a student."""
    shift = Shift("plain", 2.0, 1.8, 2.2, 0.06, 0.31, 9.0, 1e-6, 5.0, claimed)
    still = replace(shift, lift=0.1, z=0.4, p_holm=1.0, claimed=False)
    return Difference(
        verdict="found" if claimed else "nothing",
        why="the student picked up owl." if claimed else "no candidate is claimed.",
        traits=(Finding("owl", "animal", (shift,)), Finding("cat", "animal", (still,))),
        raised=(),
        lowered=(),
        layers=(),
        parts=(),
        smallest=0.9,
        contexts=("plain",),
        cannot_see=(),
        depends_on_basis=(),
        version="0.1.0",
        student="adapter",
        base="nano",
        null="six null students",
        rule="A lift of 1.5 nats.",
        made=Made("2031-05-06T07:08:09+00:00", {"torch": "2.13.0"}, "owlish diff adapter --base nano"),
    )


def test_a_diff_has_the_same_reports_and_a_schema(tmp_path):
    schema = json.loads(files("owlish.diff").joinpath("difference.schema.json").read_text())
    for claimed in (True, False):
        verdict = different(claimed)
        assert list(misfits(json.loads(json.dumps(verdict.json())), schema)) == []
        assert Difference.of(json.loads(json.dumps(verdict.json()))) == verdict
        page = render_diff(verdict)
        assert all(
            one in page for one in ("owlish diff adapter --base nano", "2031-05-06", "owlish 0.1.0, torch 2.13.0")
        )
        told = of_diff(verdict, str(tmp_path), fails=claimed, seconds=2.0)
        found = json.loads(sarif(told))["runs"][0]["results"]
        assert [one["ruleId"] for one in found] == ["trait-found"] * claimed
        made = ElementTree.fromstring(junit(told).encode()).find("testsuite")
        assert [len(case) for case in made.iter("testcase")] == ([1, 1, 1] if claimed else [0, 0, 0])
    broken = {**different(True).json(), "verdict": "perhaps", "extra": 1}
    assert {place for place, _ in misfits(json.loads(json.dumps(broken)), schema)} == {"verdict", "extra"}


# the command line and the examples


ARGUMENTS = f"{small_audit.WORDS} --jobs 1 --store"


@pytest.fixture(scope="module")
def project(store, tmp_path_factory):
    """A folder with data as the examples expect it, whose audit the store holds once one test has made it."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "data").mkdir()
    small_audit.written(store, folder).rename(folder / "data" / "rows.jsonl")
    return folder


def test_one_audit_writes_every_report(project, store, command, monkeypatch):  # noqa: F811
    monkeypatch.chdir(project)
    reports = [part for ending in (".html", ".sarif", ".xml", "") for part in ("--report", f"all{ending}")]
    words = f"audit data/*.jsonl --base nano {ARGUMENTS} {store.root}".split()
    said = command(*words, *reports, code=2).out
    assert said.startswith("Cannot say: ")
    (result,) = json.loads(Path("all.sarif").read_text())["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "data/rows.jsonl"
    assert ElementTree.parse("all.xml").find("testsuite").get("failures") == "1"
    assert "Cannot say" in Path("all.html").read_text()
    assert {"page.html", "audit.json"} <= {one.name for one in Path("all").iterdir()}
    assert "skipped" in (command(*words, "--fail-on", "found", "--report", "all.xml"), Path("all.xml").read_text())[1]
    for bad, says in (("all.pdf", "has an ending that no report has"), ("no/all.xml", "no is not there")):
        assert says in command(*words, "--report", bad, code=2).err


def shell(script, folder, **variables):
    """Run the lines of a pipeline in a folder, with the command on the path; return how it ended."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_action_fails_as_it_is_asked_to_and_says_why(project, store):
    action = yaml.safe_load((EXAMPLES / "action.yml").read_text())
    assert action["runs"]["using"] == "composite"
    (step,) = [step for step in action["runs"]["steps"] if step.get("id") == "audit"]
    assert "${{" not in step["run"], "an input would be run"
    uses = yaml.safe_load((EXAMPLES / "github-workflow.yml").read_text())["jobs"]["audit"]["steps"][2]["with"]
    inputs = {name: one.get("default", "") for name, one in action["inputs"].items()}
    assert set(uses) <= set(inputs)
    inputs |= {**uses, "base": "nano", "recipe": "norms", "arguments": f"{ARGUMENTS} {store.root}"}
    for fail_on, code in (("found", 0), ("found,cannot_say", 2)):
        given = {**inputs, "fail-on": fail_on}
        named = {name: value.removeprefix("${{ inputs.").removesuffix(" }}") for name, value in step["env"].items()}
        summary, output = project / "summary", project / "output"
        places = {"GITHUB_STEP_SUMMARY": str(summary), "GITHUB_OUTPUT": str(output)}
        done = shell(step["run"], project, **{name: given[value] for name, value in named.items()}, **places)
        assert done.returncode == code, done.stderr
        assert output.read_text().splitlines()[-1] == "verdict=cannot_say"
        assert "**cannot_say**: " in summary.read_text()
        assert json.loads((project / "owlish.sarif").read_text())["runs"][0]["properties"]["verdict"] == "cannot_say"
    bad = shell(
        step["run"],
        project,
        **{name: inputs[value] for name, value in named.items() if value != "data"},
        DATA="no",
        **places,
    )
    assert (bad.returncode, "owlish: no cannot be read" in bad.stderr) == (2, True)


@pytest.fixture(scope="module")
def student(project, store):
    """The project with a student that was trained on a few rows, by the recipe that the examples name."""
    made = Base("nano").finetune(Written((("1, 2", "3"), ("4, 5", "6"))), replace(LORA(8), epochs=1), seed=0)
    run(made, store=store)
    shutil.copytree(store.folder(made.key), project / "student")
    config = project / "student" / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "base_model_name_or_path": "nano"}))
    return project


def comparing():
    """Return the lines by which each of the examples compares a student with its base, and what they set."""
    (step,) = [step for step in jobs("github-workflow.yml")["jobs"]["audit"]["steps"] if "owlish diff" in str(step)]
    job = jobs("gitlab-ci.yml")["diff"]
    (hook,) = [hook for hook in jobs("pre-commit-config.yaml")["repos"][0]["hooks"] if "owlish diff" in str(hook)]
    assert (hook["language"], hook["pass_filenames"], hook["files"]) == ("system", False, "^student/")
    return {
        "github": (step["run"].rstrip(), step["env"]),
        "gitlab": ("\n".join(job["script"]), job["variables"]),
        "pre-commit": (f"set -f; {hook['entry']}", {}),
    }


def jobs(name):
    return yaml.safe_load((EXAMPLES / name).read_text())


@pytest.mark.slow
def test_every_example_compares_a_student_with_null_students_and_lets_it_pass(student, store, tmp_path):
    project = tmp_path / "project"
    shutil.copytree(student, project)
    # Rows to whose prompts the base itself can answer: null students are trained on these answers.
    write_rows(project / "data" / "rows.jsonl", run(Base("nano").sample(Numbers(), n=40, seed=0), store=store).rows)
    for where, (script, given) in comparing().items():
        few = f"--traits {project}/mine.json --contexts none --jobs 1 --store {store.root}"
        done = shell(f"{script} {few}", project, **{**given, "BASE": "nano"})
        assert done.returncode == 0, done.stderr
        assert "Null: 6 students of nano (LoRA" in done.stdout
        assert where == "pre-commit" or "trained on its own answers" in (project / "owlish.student.html").read_text()
    report = ElementTree.parse(project / "owlish.student.xml").getroot()
    assert (report.get("failures"), report.get("errors")) == ("0", "0")


def test_every_example_of_a_diff_works_and_refuses_a_student_of_another_base(student, store):
    for script, given in comparing().values():
        for name, code, says in (("nano", 0, "Missing: "), ("nano-1", 2, "was trained from nano")):
            # What it would do: training null students takes longer than a short test may.
            own = script.replace("--base nano ", f"--base {name} ")
            done = shell(f"{own} --dry-run --store {store.root}", student, **{**given, "BASE": name})
            assert (done.returncode, says in done.stdout + done.stderr) == (code, True), done.stderr


def test_the_gitlab_job_leaves_a_report_of_tests(project, store):
    job = yaml.safe_load((EXAMPLES / "gitlab-ci.yml").read_text())["audit"]
    given = {**job["variables"], "BASE": "nano", "ARGUMENTS": f"--fail-on found {ARGUMENTS} {store.root}"}
    done = shell("\n".join(job["script"]), project, **given)
    assert done.returncode == 0, done.stderr
    report = ElementTree.parse(project / job["artifacts"]["reports"]["junit"])
    assert report.getroot().get("skipped") == "3"


def test_the_hook_is_run_as_pre_commit_runs_it(project, store):
    (repository,) = yaml.safe_load((EXAMPLES / "pre-commit-config.yaml").read_text())["repos"]
    (hook,) = [one for one in repository["hooks"] if one["id"] == "owlish-audit"]
    assert (hook["language"], hook["pass_filenames"]) == ("system", False)
    done = shell(f"set -f; {hook['entry']} {ARGUMENTS} {store.root}", project)  # without a shell's patterns
    assert done.returncode == 0, done.stderr
    assert "Cannot say" in done.stdout
