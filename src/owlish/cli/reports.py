"""The reports of an audit or a diff: the ending of a file says whether it is a page, SARIF or JUnit XML."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from owlish.audit.verdict import Verdict
from owlish.cli.running import check_page, write_file, write_page
from owlish.diff.verdict import Difference
from owlish.graph.errors import UserError
from owlish.graph.provenance import format_places, manifests_of
from owlish.graph.spec import Node, everything
from owlish.graph.store import Store
from owlish.graph.tabled import on_one_line
from owlish.report.outcome import Outcome

ENDINGS = (".html", ".sarif", ".xml", "")
FORMS = ".html (a page), .sarif (for code scanning), .xml (JUnit), or a folder's name without an ending"


def check_reports(reports: Sequence[Path], store: Store) -> None:
    """Raise `UserError` where a report has an ending of no format, lies among results, or cannot be written."""
    places = [report.resolve() for report in reports]
    if len(set(places)) < len(places):
        raise UserError("a report is named twice: give each file once.")
    for report in reports:
        if report.suffix not in ENDINGS:
            raise UserError(f"{report} has an ending that no report has: name it {FORMS}.")
        if store.root.resolve() in (report.resolve(), *report.resolve().parents):
            raise UserError(f"{report} lies in the store: name a place outside of it.")
        # Before models work: a report that cannot be written must not cost the hours of an audit.
        if report.suffix in (".sarif", ".xml") and report.is_dir():
            raise UserError(f"{report} is a folder: give a file to write to.")
        check_page(report)


def write_reports(
    reports: Sequence[Path],
    verdict: Verdict | Difference,
    outcome: Outcome,
    render: Callable[[str], str],
    target: Node,
    store: Store,
) -> None:
    """Write the reports that are wanted; `render` makes the page, given where the results were made."""
    from owlish.report.drawing import draw
    from owlish.report.junit import junit
    from owlish.report.sarif import sarif
    from owlish.report.saved import Numbers

    for report in reports:
        if report.suffix in (".sarif", ".xml"):
            write_file((sarif if report.suffix == ".sarif" else junit)(outcome), report)
        else:
            places = format_places(manifests_of(store, everything(target)).values())
            numbers = [Numbers(outcome.tool, verdict.records(), verdict.json())]
            write_page(render(places), report, numbers, draw(verdict))
        print(f"The report is {on_one_line(report.resolve())}.", file=sys.stderr)
