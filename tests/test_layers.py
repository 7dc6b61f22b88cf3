"""The rooms of the house: imports go downward only, those inside functions included."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "owlish"
FLOORS = [
    {"files", "__init__"},
    {"graph", "rows", "stats"},
    {"filters", "traits", "recipes", "lineage"},
    {"domains", "lm"},
    {"nano"},
    {"nodes"},
    {"ask", "likelihood"},
    {"measure", "judge"},
    {"study"},
    {"transfer"},
    {"mlp", "theorem", "detect", "truthful", "freeform", "audit"},
    {"studies", "workload"},
    {"find", "report", "progress"},
    {"outlook", "doctor", "running"},
    {"cli"},
]
FLOOR = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
KEEPS_TO_ITSELF = {"graph": {"graph", "files"}, "lm": {"lm", "recipes"}, "stats": set(), "rows": {"files"}}


def imports(path):
    """Yield the rooms that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "owlish":
            names = [f"owlish.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        for name in names:
            if name.split(".")[0] == "owlish":
                rest = name.split(".")[1:]
                yield rest[0] if rest and rest[0] in FLOOR else "__init__"


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_go_downward(path):
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if room == "__init__":
        return
    assert room in FLOOR, f"{room} is on no floor"
    for other in imports(path):
        assert other == room or FLOOR[other] < FLOOR[room], f"{room} imports {other}"
        assert room not in KEEPS_TO_ITSELF or other in KEEPS_TO_ITSELF[room] | {room}, f"{room} imports {other}"


def test_heavy_packages_are_imported_inside_functions():
    """What the command line imports at its start must not cost seconds."""
    import subprocess
    import sys

    program = "import sys, owlish.cli, owlish.find; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "peft", "scipy", "statsmodels", "matplotlib", "numpy"} & set(out)
