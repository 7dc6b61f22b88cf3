"""What workers write comes back without secrets: those that settings name, those that look like one, cut ones."""

import sys

import pytest

from owlish.graph.heard import LETTERS, Heard, last_lines, listening, scrub


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("sk-abcdefghijklmnopqrst ends", "*** ends"),
        ("ghp_abcdefghijklmnopqrst and github_pat_abcdefghijklmnop", "*** and ***"),
        ("GET https://user:p@ss@host/path", "GET https://***@host/path"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("http://host/?token=abc&x=1", "http://host/?token=***&x=1"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.abc", "***"),
        ("/home/ann/rows.jsonl", "~/rows.jsonl"),
        ("a monkey keeps 12 tokens", "a monkey keeps 12 tokens"),
    ],
)
def test_what_looks_like_a_secret_does_not_come_back(said, kept):
    assert scrub(said) == kept


def test_values_of_settings_do_not_come_back_however_they_are_written(monkeypatch):
    monkeypatch.setenv("A_TOKEN", "abcdefgh")
    monkeypatch.setenv("DB_PASS", "abcdefgh-and-more\n")
    monkeypatch.setenv("PLAIN", "an ordinary word")
    assert scrub("abcdefgh abcdefgh-and-more\n an ordinary word") == "$A_TOKEN $DB_PASS an ordinary word"
    assert scrub(repr("abcdefgh-and-more\n")) == "'$DB_PASS'"


def test_a_secret_that_is_cut_in_half_does_not_come_back(monkeypatch):
    monkeypatch.setenv("A_TOKEN", "abcdefghijkl")
    heard = Heard(sys.stderr)
    heard.write("abcdefghijkl" + "x" * (LETTERS - 11) + "\nlast\n")
    assert "ghijkl" in heard.end
    assert last_lines(heard.end).splitlines() == ["The last lines that its worker wrote:", "last"]


def test_without_a_home_nothing_fails(monkeypatch):
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    assert scrub("as it is") == "as it is"


def test_a_logger_of_the_first_node_is_heard_under_the_next():
    with listening() as (first, _):
        log = sys.stderr
        print("first")
    with listening() as (second, _):
        print("second", file=log)
    assert first is second
    assert second.end == "second\n"
