"""The store: an entry is whole or absent, and every changed byte is found."""

import random

import pytest
from toys import Drawn, Joined, tower

from owlish.graph.run import run
from owlish.graph.store import Damaged, Store


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("store"))
    node = Joined((Drawn(1), Drawn(2)))
    run(node, store=store, jobs=1)
    return store, node


def files(store):
    """Return the bytes of every result file, manifests apart, which hold times."""
    return {
        str(path.relative_to(store.root)): path.read_bytes()
        for key in store.entries()
        for path in store.folder(key).iterdir()
        if path.name != "manifest.json"
    }


def test_an_entry_says_how_it_was_made(made):
    store, node = made
    manifest = store.check(node.key)
    assert manifest["spec"]["nodes"] == [{"node": Drawn(1).key}, {"node": Drawn(2).key}]
    assert set(manifest["files"]) == {"text.txt", "length.txt"}
    assert manifest["threads"] == 1
    assert "torch" in manifest["versions"]
    assert store.manifest(Drawn(1).key)["seed"] == 1


def test_every_flipped_bit_is_found(made, subtests):
    store, node = made
    rng = random.Random(0)
    for path in store.folder(node.key).iterdir():
        whole = path.read_bytes()
        for place in {0, len(whole) - 1, *(rng.randrange(len(whole)) for _ in range(40))}:
            changed = bytearray(whole)
            changed[place] ^= 1 << rng.randrange(8)
            path.write_bytes(changed)
            with subtests.test(file=path.name, place=place), pytest.raises(Damaged):
                store.check(node.key)
        path.write_bytes(whole)
    store.check(node.key)


@pytest.mark.parametrize("change", ["cut", "added", "gone", "swapped"])
def test_damage_is_found_and_mended(tmp_path, change):
    store, node = Store(tmp_path), Joined((Drawn(1), Drawn(2)))
    run(node, store=store, jobs=1)
    before, folder = files(store), store.folder(node.key)
    if change == "cut":
        (folder / "text.txt").write_bytes((folder / "text.txt").read_bytes()[:-1])
    elif change == "added":
        (folder / "more.txt").write_text("more")
    elif change == "gone":
        (folder / "manifest.json").unlink()
    else:
        (folder / "manifest.json").write_bytes((store.folder(Drawn(1).key) / "manifest.json").read_bytes())
    with pytest.raises(Damaged):
        store.read(node)
    run(node, store=store, jobs=1)
    assert files(store) == before


def test_nothing_is_left_beside_the_entries(made):
    store, _ = made
    assert not list((store.root / ".partial").iterdir())
    assert not list((store.root / ".locks").iterdir())


def test_keys_are_found_by_their_start(made):
    store, node = made
    assert store.find(node.key[:10]) == node.key
    with pytest.raises(ValueError, match="no entry"):
        store.find("zz")
    with pytest.raises(ValueError, match="3 entries"):
        store.find("")


def test_a_file_is_no_store(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file"):
        Store(tmp_path / "file")


def test_reading_what_is_absent_says_so(tmp_path):
    with pytest.raises(ValueError, match="run it first"):
        Store(tmp_path).read(tower())
