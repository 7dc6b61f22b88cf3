"""A verdict as JUnit XML, which GitLab, Jenkins and others show as tests: one for the verdict, one a candidate trait.

There is no standard; these are the elements and attributes that the readers share.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from owlish.report.outcome import Candidate, Outcome
from owlish.report.words import visible


def junit(outcome: Outcome) -> str:
    """Return a verdict as JUnit XML.

    A claimed trait is a failure, and so is *cannot say*, where the verdict fails the pipeline; what is open is skipped.
    """
    cases = [verdict(outcome), *(candidate(one, outcome) for one in outcome.candidates)]
    kinds = {"failures": "failure", "skipped": "skipped"}
    counts = {name: str(sum(case.find(kind) is not None for case in cases)) for name, kind in kinds.items()}
    totals = {"tests": str(len(cases)), **counts, "errors": "0", "time": f"{outcome.seconds:.3f}"}
    root = Element("testsuites", {"name": "owlish", **totals})
    stamp = {"timestamp": outcome.date[:19]} if outcome.date else {}
    suite = SubElement(
        root, "testsuite", {"name": visible(f"owlish {outcome.tool} {outcome.subject}"), **totals, **stamp}
    )
    properties = SubElement(suite, "properties")
    for name, value in {"verdict": outcome.verdict, "owlish": outcome.version, **outcome.details}.items():
        SubElement(properties, "property", {"name": name, "value": visible(value)})
    suite.extend(cases)
    indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def verdict(outcome: Outcome) -> Element:
    """Return the test that stands for the verdict."""
    made = case(outcome, "verdict", outcome.seconds)
    rows = [f"{one.file} {one.unit} {one.number:,}: {one.says}" for one in outcome.spots]
    text = "\n".join([outcome.why, f"Next: {outcome.next}", *outcome.remarks, *rows])
    if outcome.verdict != "nothing":
        end(made, outcome.verdict, outcome.why, text, failed=outcome.fails)
    elif outcome.remarks:
        SubElement(made, "system-out").text = visible(text)
    return made


def candidate(one: Candidate, outcome: Outcome) -> Element:
    """Return the test of a candidate."""
    made = case(outcome, f"{one.name} ({one.category})", 0.0)
    if one.result != "passed":
        end(made, one.result, one.says, one.says, failed=one.result == "claimed" and outcome.fails)
    return made


def case(outcome: Outcome, name: str, seconds: float) -> Element:
    """Return a test; its name holds the subject, for readers tell tests of several files apart by class and name."""
    # Names from rows are made visible here: XML has no form for control characters.
    named = {"classname": f"owlish.{outcome.tool}", "name": visible(f"{outcome.subject}: {name}")}
    files = {"file": visible(outcome.files[0])} if outcome.files else {}
    return Element("testcase", {**named, **files, "time": f"{seconds:.3f}"})


def end(made: Element, kind: str, says: str, text: str, *, failed: bool) -> None:
    """Make a test one that failed, or that was skipped."""
    if failed:
        SubElement(made, "failure", {"type": kind, "message": visible(says)}).text = visible(text)
    else:
        SubElement(made, "skipped", {"message": visible(says)})
