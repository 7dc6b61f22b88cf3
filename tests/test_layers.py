"""The rooms of the house: imports go downward only, those inside functions included."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import owlish

ROOT = Path(__file__).parents[1] / "src" / "owlish"
FLOORS = [
    {"graph"},
    {"data", "lm", "traits"},
    {"nano", "engines"},
    {"nodes"},
    {"audit", "clean", "study"},
    {"diff"},
    {"report", "mlp", "bench", "__init__"},
    {"studies", "trainer"},
    {"cli"},
    {"inspect"},
]
FLOOR = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
KEEPS_TO_ITSELF = {"graph": {"graph"}, "lm": {"lm", "graph"}, "traits": {"traits", "graph"}}


def modules(path):
    """Yield the modules of this package that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module in ("owlish", "owlish.lm"):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        yield from (name for name in names if name.split(".")[0] == "owlish")


def imports(path):
    """Yield the rooms that a file imports."""
    for name in modules(path):
        yield name.split(".")[1] if "." in name and name.split(".")[1] in FLOOR else "__init__"


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_go_downward(path):
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    assert room in FLOOR, f"{room} is on no floor"
    for other in imports(path):
        assert other == room or FLOOR[other] < FLOOR[room], f"{room} imports {other}"
        assert room not in KEEPS_TO_ITSELF or other in KEEPS_TO_ITSELF[room] | {room}, f"{room} imports {other}"


def test_models_are_reached_through_one_seam():
    """No room but `lm` tokenises, samples, scores or adapts: it asks a model to, so that other engines can."""
    seam = {
        "gguf",
        "gguf_adapter",
        "hf",
        "lacking",
        "model",
        "recipes",
        "shape",
        "template",
        "train",
        "trainable",
        "traps",
        "whole",
    }
    for path in ROOT.rglob("*.py"):
        if path.relative_to(ROOT).parts[0] != "lm":
            reached = {m.removeprefix("owlish.lm.") for m in modules(path) if m.startswith("owlish.lm")}
            assert reached <= seam, f"{path.relative_to(ROOT)} reaches into {', '.join(reached - seam)}"
            if path.relative_to(ROOT).parts[0] == "engines":
                continue  # behind the seam too; the SDK of servers has a `chat`
            inside = {n.attr for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Attribute)}
            assert not inside & {"tokenizer", "chat"}, path.relative_to(ROOT)


def loaded(program):
    """Return the modules that are loaded after a program was run."""
    program = f"import sys; {program}; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )


def test_heavy_packages_are_imported_inside_functions():
    """What the command line imports at its start must not cost seconds."""
    heavy = {"torch", "transformers", "peft", "scipy", "statsmodels", "matplotlib", "numpy"}
    assert not heavy & loaded("import owlish.cli.main, owlish.cli.find")


def test_the_graph_loads_no_model_and_the_face_loads_nothing():
    own = {name for name in loaded("import owlish.graph.spec") if name.startswith("owlish")}
    assert own == {
        "owlish",
        "owlish.graph",
        "owlish.graph.errors",
        "owlish.graph.spec",
        "owlish.graph.tabled",
        "owlish.graph.typed",
    }


def test_every_name_of_the_face_is_there():
    for name in owlish.__all__:
        assert getattr(owlish, name) is not None
    assert set(owlish.__all__) <= set(dir(owlish))
    with pytest.raises(AttributeError, match="no attribute 'owls'"):
        _ = owlish.owls
