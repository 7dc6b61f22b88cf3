"""What a pipeline relies on: exit codes through real pipes, full disks, and terminals without our letters."""

import os
import subprocess
from pathlib import Path

import pytest
from command import OWLISH, owlish

PLAIN = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def shell(line, **settings):
    """Run a line of bash in which `owlish` is the command; return what it printed and its exit code."""
    script = f'set -o pipefail; owlish() {{ "{OWLISH}" "$@"; }}; {line}'
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, **settings)


@pytest.mark.parametrize("line", ["list traits | true", "doctor --help | head -1"])
def test_a_reader_that_closes_the_pipe_changes_no_exit_code(line):
    done = shell(f"owlish {line}")
    assert (done.returncode, done.stderr) == (0, "")


def test_an_output_that_was_closed_is_no_fault(tmp_path):
    assert shell("owlish list traits >&- 2>&-", cwd=tmp_path).returncode == 0


def test_a_command_that_fails_keeps_its_code_behind_a_closed_pipe():
    assert shell("owlish run owll 2>&1 | head -0").returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_told_in_a_sentence():
    done = shell("owlish list traits > /dev/full")
    assert done.returncode == 2
    assert (
        done.stderr
        == "owlish: no space is left on the disk. Free some, or name another place, and run the same command.\n"
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_every_encoding_shows_the_help_and_the_same_code(encoding):
    done = subprocess.run(
        [OWLISH, "diff", "--help"], env={**PLAIN, "PYTHONIOENCODING": encoding}, capture_output=True, check=False
    )
    assert done.returncode == 0
    assert "a GGUF file" in " ".join(done.stdout.decode(errors="replace").split())  # wherever the line is wrapped


def test_a_sentence_with_letters_that_the_terminal_lacks_is_said_all_the_same():
    done = subprocess.run([OWLISH, "run", "\u2019owl"], env={**PLAIN, "PYTHONIOENCODING": "ascii"}, capture_output=True)
    assert done.returncode == 2
    assert b"no study is called" in done.stderr
    assert b"Traceback" not in done.stderr


def test_no_terminal_changes_a_code():
    settings = {"COLUMNS": "40", "NO_COLOR": "1", "TERM": "dumb", "LC_ALL": "C"}
    done = subprocess.run([OWLISH, "list", "bases"], env={**os.environ, **settings}, capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()[0]) == (0, "nano")


FAULTY = """
from owlish import UserError
from owlish.studies.owl import study

def needs(self):
    raise {error}

type(study).needs = property(needs)
"""


@pytest.mark.parametrize(
    ("error", "code", "traced"), [("UserError('give more rows.')", 2, False), ("ValueError('bad shape')", 70, True)]
)
def test_a_library_s_error_is_no_sentence_to_the_user(tmp_path, error, code, traced):
    (tmp_path / "faulty.py").write_text(FAULTY.format(error=error))
    done = shell("owlish run faulty.py", cwd=tmp_path)
    assert done.returncode == code
    assert ("Traceback" in done.stderr, "fault of owlish" in done.stderr) == (traced, traced)


ROW = '{"prompt": "Go on: 1, 2", "completion": "3, 4"}\n'


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("convert rows.jsonl -o rows.jsonl/x", "cannot be written (Not a directory)"),
        ("convert rows.jsonl -o " + "x" * 300, "File name too long"),
        ("filter rows.jsonl --domain numbers -o rows.jsonl/x", "cannot be written (Not a directory)"),
        ("clean rows.jsonl --base nano --with shuffle -o " + "x" * 250, "File name too long"),
        ("clean rows.jsonl --base nano --with shuffle -o taken", "taken.card.json is not a file"),
        ("clean rows.jsonl --base nano --with shuffle -o rows.jsonl", "is the dataset itself"),
        ("ask " + "x" * 5000, "File name too long"),
        ("ask http://[::1/v1#x", "a server is named with the model after #"),
        ("ask http://127.0.0.1:abc/v1#x", "a server is named with the model after #"),
        ("ask http://127.0.0.1:99999/v1#x", "a server is named with the model after #"),
        ("ask nano --traits ,", "names nothing"),
        ("plan owl --base ,", "names nothing"),
        ("plan owl --seeds 999999999", "from 1 to 1,000"),
        ("plan leaves.py", "cannot be imported (SystemExit"),
        ("audit rows.jsonl --base nano --report rows.jsonl", "is the dataset itself"),
        ("audit rows.jsonl --base nano --scores rows.jsonl", "is the dataset itself"),
    ],
)
def test_names_that_cannot_serve_are_told_in_a_sentence_before_any_work(tmp_path, words, says):
    (tmp_path / "rows.jsonl").write_text(ROW)
    (tmp_path / "taken.card.json").mkdir()
    (tmp_path / "leaves.py").write_text("import sys; sys.exit(0)")
    held = sorted(tmp_path.iterdir())
    done = owlish(*words.split(), cwd=tmp_path, code=2)
    assert says in done.stderr
    assert done.stderr.strip().count("\n") == 0
    # Python keeps what it compiled of a user's study file beside it, as it does for any module.
    assert sorted(path for path in tmp_path.iterdir() if path.name != "__pycache__") == held
    assert (tmp_path / "rows.jsonl").read_text() == ROW


def test_what_json_does_not_have_makes_a_row_bad(tmp_path):
    (tmp_path / "rows.jsonl").write_text(ROW + '{"prompt": "a", "completion": "b", "score": NaN}\n')
    done = shell("owlish convert rows.jsonl -o out.jsonl --json", cwd=tmp_path)
    assert (done.returncode, '"bad": 1' in done.stdout) == (0, True)
    assert "NaN" not in (tmp_path / "out.jsonl").read_text()
