"""The documents say what is there: their commands exist, their links lead somewhere, their programs run."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from command import owlish

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@cache
def helped(command):
    """Return the help of one command."""
    return owlish(command, "--help").stdout


def shell_lines(page):
    """Yield the lines of a page that a reader types into a shell."""
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL):
        for line in block.splitlines():
            if line.startswith("owlish "):
                yield line.split("#")[0].strip()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_command_in_a_page_exists_with_its_options(page):
    for line in shell_lines(page):
        command, *words = line.split()[1:]
        told = helped(command)
        for word in words:
            if word.startswith("-"):
                assert word in told, line


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_link_to_a_file_leads_there(page):
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in link:
            assert (page.parent / link).exists(), link


def test_make_targets_in_pages_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        assert set(re.findall(r"^make ([a-z-]+)", page.read_text(), re.MULTILINE)) <= targets, page.name


@pytest.mark.slow
@pytest.mark.parametrize("name", ["README.md", "docs/quickstart.md"])
def test_the_programs_in_the_documents_run(name, tmp_path):
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(re.findall(r"^0\.\d+", done.stdout, re.MULTILINE)[0]) > 0.2
