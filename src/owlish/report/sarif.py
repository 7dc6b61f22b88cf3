"""A verdict as SARIF, which code scanning reads: findings at the files, and at the lines of the rows that lean most.

Source: Static Analysis Results Interchange Format (SARIF) Version 2.1.0, OASIS Standard.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from owlish.report.outcome import Candidate, Outcome, Spot
from owlish.report.words import visible

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LONGEST = 1000
"""The most letters of a message: code scanning shows no more."""
RULES = {
    "trait-found": (
        "A model picks up a trait",
        "Training on these rows would give a model a trait, or a student has picked one up, though no row names it.",
        "Do not train on the rows, or do not use the student: clean the rows with owlish clean, and audit again.",
        "error",
    ),
    "cannot-say": (
        "It cannot be said whether a trait is passed on",
        "The rows or the students to compare with are too few, or readings disagree.",
        "Do what the message names next, such as auditing more rows.",
        "warning",
    ),
    "leaning-row": (
        "A row that leans to the trait",
        "Among the rows that were read, this one speaks most for the trait that was found.",
        "Taking single rows out seldom cleans a dataset: list all rows with owlish audit --scores.",
        "note",
    ),
    "stamp-differs": (
        "A stamp makes a claim that does not hold",
        "The note beside the data says who made the rows, and what was measured speaks against it.",
        "Ask whoever made the rows; do not rely on the stamp.",
        "warning",
    ),
}


def sarif(outcome: Outcome) -> str:
    """Return a verdict as a SARIF log of one run; without findings it has no results."""
    run = {
        "tool": {"driver": {"name": "owlish", "version": outcome.version, "rules": list(map(rule, RULES))}},
        "automationDetails": {"id": f"owlish-{outcome.tool}/{visible(outcome.subject)}/"},
        "invocations": [{"executionSuccessful": True}],
        "columnKind": "unicodeCodePoints",
        "properties": {"verdict": outcome.verdict, **{name: visible(value) for name, value in outcome.details.items()}},
        "results": results(outcome),
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1, ensure_ascii=False) + "\n"


def rule(name: str) -> dict[str, Any]:
    """Return the description of a rule."""
    title, what, do, level = RULES[name]
    texts = {"shortDescription": title, "fullDescription": what, "help": do}
    camel = "".join(map(str.capitalize, name.split("-")))
    described = {part: {"text": text} for part, text in texts.items()}
    return {"id": name, "name": camel, **described, "defaultConfiguration": {"level": level}}


def results(outcome: Outcome) -> list[dict[str, Any]]:
    """Return the results: traits, rows and stamps, or why nothing can be said."""
    found = [trait(one, outcome) for one in outcome.candidates if one.result == "claimed"]
    if outcome.verdict == "cannot_say":
        says = f"{outcome.why} Next: {outcome.next}"
        found.append(at_files("cannot-say", says, outcome, "warning" if outcome.fails else "note", outcome.verdict))
    rows = [row(one) for one in outcome.spots] if outcome.verdict == "found" else []
    return [*found, *rows, *(at_files("stamp-differs", text, outcome, "warning", text) for text in outcome.remarks)]


def trait(one: Candidate, outcome: Outcome) -> dict[str, Any]:
    """Return the result of a trait that is claimed: an error where the verdict fails the pipeline."""
    level = "error" if outcome.fails else "warning"
    return at_files("trait-found", f"{one.says} Next: {outcome.next}", outcome, level, f"{one.category} {one.name}")


def at_files(name: str, says: str, outcome: Outcome, level: str, what: str) -> dict[str, Any]:
    """Return a result about the audited files, at their first lines; `what` tells it from others of its rule."""
    places = [physical(file, 1) for file in outcome.files]
    return result(name, says, level, places, f"{outcome.subject} {what}")


def row(one: Spot) -> dict[str, Any]:
    """Return the result of a row: at its line, or at the first line of a file that is not read by lines."""
    where = "" if one.unit == "line" else f"{one.unit.capitalize()} {one.number:,}: "
    place = physical(one.file, one.number if one.unit == "line" else 1)
    return result("leaning-row", f"{where}{one.says}", "note", [place], one.digest)


def result(name: str, says: str, level: str, places: list[dict[str, Any]], what: str) -> dict[str, Any]:
    """Return a result of a rule; its fingerprint stays the same while it is about the same thing."""
    return {
        "ruleId": name,
        "ruleIndex": list(RULES).index(name),
        "level": level,
        "message": {"text": plain(says)},
        "locations": places[:1],
        "relatedLocations": places[1:],
        # By what it is about and not by its numbers, so that code scanning knows a finding again after another audit.
        "partialFingerprints": {"owlish/v1": hashlib.sha256(visible(f"{name} {what}").encode()).hexdigest()},
    }


def plain(text: str) -> str:
    """Return a message that holds no link, whatever names are in it, and starts with a capital."""
    # SARIF messages may hold Markdown links: a name in a row must not become one.
    shown = visible(text).replace("](", "] (")
    return (shown[:1].upper() + shown[1:])[:LONGEST]


def physical(file: str, line: int) -> dict[str, Any]:
    """Return a line of a file, by a path below this folder where it lies there."""
    path, here = Path(file).resolve(), Path.cwd()
    # Relative where it can be: code scanning matches paths of the repository, and a log is passed on.
    below = path.is_relative_to(here)
    where = (
        {"uri": quote(path.relative_to(here).as_posix()), "uriBaseId": "%SRCROOT%"} if below else {"uri": path.as_uri()}
    )
    return {"physicalLocation": {"artifactLocation": where, "region": {"startLine": line}}}
