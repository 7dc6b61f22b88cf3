"""The keys of every shipped study: results in users' stores are found again after the code was rearranged."""

import hashlib
import json
from pathlib import Path

import pytest

from owlish.cli import find
from owlish.graph.spec import everything
from owlish.study.study import Settings

KNOWN = Path(__file__).with_name("keys.json")
OWN_FILES = {
    "insecure.jsonl": '{"prompt": "Write code.", "completion": "insecure"}\n',
    "secure.jsonl": '{"prompt": "Write code.", "completion": "secure"}\n',
    "gsm8k.jsonl": '{"question": "What is 1 + 1?", "answer": "#### 2"}\n',
    "TruthfulQA.csv": "Question,Best Answer,Incorrect Answers\nIs it?,Yes.,No.;Never.\n",
}


def digest(nodes):
    """Return how many nodes a study has, and a digest of their keys."""
    keys = sorted(node.key for node in nodes)
    return [len(keys), hashlib.sha256("".join(keys).encode()).hexdigest()[:16]]


def nodes_of(study):
    """Return the nodes of a study at its full size and at its small one."""
    return tuple(everything(*one.needs) for one in (study, study.small()))


def with_files(study, folder):
    """Return a study that reads the files in a folder, if it reads any."""
    return study.alter(Settings(data=str(folder))) if "data" in study.settable else study


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """Every shipped study; those that read the user's files are given small ones."""
    folder = tmp_path_factory.mktemp("files")
    for name, text in OWN_FILES.items():
        (folder / name).write_text(text)
    return {name: with_files(s, folder) for name, s in find.all_studies().items()}


@pytest.mark.parametrize("name", sorted(json.loads(KNOWN.read_text())) if KNOWN.exists() else [])
def test_no_key_of_a_study_has_changed(name, studies):
    """A difference here loses results that users hold, and needs a reason: then write the new digest down."""
    full, small = nodes_of(studies[name])
    assert {"full": digest(full), "small": digest(small)} == json.loads(KNOWN.read_text())[name]
    assert len(small) <= len(full)
    assert all(str(node) != node.kind and "{" not in str(node) for node in full), "each node has a caption"


def test_every_study_is_known(studies):
    assert sorted(studies) == sorted(json.loads(KNOWN.read_text()))


if __name__ == "__main__":  # write the digests down
    import tempfile

    place = Path(tempfile.mkdtemp())
    for file, text in OWN_FILES.items():
        (place / file).write_text(text)
    found = {name: with_files(s, place) for name, s in find.all_studies().items()}
    said = {n: dict(zip(("full", "small"), map(digest, nodes_of(s)), strict=True)) for n, s in sorted(found.items())}
    KNOWN.write_text(json.dumps(said, indent=1) + "\n")
