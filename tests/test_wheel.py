"""A built wheel holds everything: the bases, the templates and the command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_a_built_wheel_works_without_the_checkout(tmp_path):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-q", "-w", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("owlish-*.whl")
    place = tmp_path / "installed"
    subprocess.run([*pip, "install", "--no-deps", "-q", "--target", place, wheel], check=True)
    environment = {**os.environ, "PYTHONPATH": str(place)}

    def python(program):
        words = [sys.executable, "-c", program]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert python("import owlish; print(owlish.__file__)").startswith(str(place))
    checks = "from owlish.cli.doctor import checks; print([name for name, ok, _ in checks() if not ok])"
    assert python(checks) == "[]"
    page = "from importlib.resources import files; print(len(list((files('owlish.report') / 'templates').iterdir())))"
    assert int(python(page)) >= 5
