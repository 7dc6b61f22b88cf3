"""A page's figures and numbers as files: SVG that stands alone, CSV and JSON, for studies and audits alike."""

import csv
import json
import xml.etree.ElementTree as tree

import pytest
from test_audit_page import FOUND
from test_report import made_up

from owlish.cli.running import check_page, write_page
from owlish.graph.errors import UserError
from owlish.report import render
from owlish.report.audit import render as render_audit
from owlish.report.saved import Numbers


def test_a_study_is_saved_with_its_figures_and_numbers(tmp_path):
    view = made_up(3)
    page = render([view])
    write_page(page, tmp_path / "owl", [Numbers("owl", view.found.records(), view.study.summary(view.found))])
    names = {path.name for path in (tmp_path / "owl").iterdir()}
    assert {"page.html", "owl.csv", "owl.json"} < names
    assert (tmp_path / "owl" / "page.html").read_text() == page
    figures = sorted(name for name in names if name.endswith(".svg"))
    assert len(figures) == page.count('<svg class="figure"') == 5
    assert figures[0] == "01-p-target-all-traits.svg"
    for name in figures:
        root = tree.parse(tmp_path / "owl" / name).getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        style = root.find("{http://www.w3.org/2000/svg}style").text
        assert ".figure .name" in style
        assert "--ink:" in style
    with (tmp_path / "owl" / "owl.csv").open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(view.found.points)
    assert float(table[0]["value"]) == view.found.points[0].value
    plain = json.loads((tmp_path / "owl" / "owl.json").read_text())
    assert plain["arms"]["student"]["p_target"] == view.found.estimate("student").mean


def test_an_audit_is_saved_the_same_way(tmp_path):
    write_page(render_audit(FOUND), tmp_path / "audit", [Numbers("audit", FOUND.records(), FOUND.json())])
    with (tmp_path / "audit" / "audit.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["name"] for row in table] == [trait.name for trait in FOUND.traits]
    assert json.loads((tmp_path / "audit" / "audit.json").read_text())["verdict"] == "found"


def test_a_name_with_an_ending_is_one_page_and_a_file_is_no_folder(tmp_path):
    write_page("page", tmp_path / "page.html", [])
    assert (tmp_path / "page.html").read_text() == "page"
    (tmp_path / "owl").write_text("")
    with pytest.raises(UserError, match=r"owl is a file: name a page, such as .*owl\.html, or another folder"):
        check_page(tmp_path / "owl")


def test_a_page_is_styled_as_before():
    page = render([made_up(3)])
    assert "{%" not in page
    assert page.count(".figure .name {") == 1
