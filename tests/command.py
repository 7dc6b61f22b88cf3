"""The command line in the test's own process: a process of its own, which reads torch again, costs seconds."""

import os
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from owlish.cli.main import guarded_command
from owlish.graph import run
from owlish.graph.pool import Here

OWLISH = str(Path(sys.executable).with_name("owlish"))


def owlish(*words, cwd=None, code=0):
    """Run a command here, what it makes included; return what it printed, after checking its exit code."""
    out, err, place, argv = StringIO(), StringIO(), os.fspath(cwd or "."), ["owlish", *map(str, words)]
    known, path = set(sys.modules), list(sys.path)
    with chdir(place), redirect_stdout(out), redirect_stderr(err):
        with patch.object(sys, "argv", argv), patch.object(run, "Processes", lambda jobs: Here()):
            found = guarded_command()
        forget_modules(known, Path.cwd())
    sys.path[:] = path
    assert found == code, out.getvalue() + err.getvalue()
    return subprocess.CompletedProcess(argv, found, out.getvalue(), err.getvalue())


def forget_modules(known, place):
    """Forget the modules of a folder, whose names another test's files may have, but not the package's own."""
    for name in set(sys.modules) - known:
        file = getattr(sys.modules[name], "__file__", None)
        if file and place in Path(file).resolve().parents and name.partition(".")[0] != "owlish":
            del sys.modules[name]
