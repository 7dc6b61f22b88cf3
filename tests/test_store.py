"""The store: an entry is whole or absent, and every changed byte is found."""

import errno
import fcntl
import os
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


def test_weights_may_be_read_by_whoever_may_read_the_entry(tmp_path):
    place, scratch = Store(tmp_path), tmp_path / "scratch"
    scratch.mkdir(mode=0o755)
    for name in ("one.safetensors", "other.json"):
        (scratch / name).write_text("x")
        (scratch / name).chmod(0o600)
    place.commit("0" * 32, scratch, {})
    found = {file.name: file.stat().st_mode & 0o777 for file in place.folder("0" * 32).iterdir()}
    assert (found["one.safetensors"], found["other.json"]) == (0o644, 0o600)


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


def dead_run(store, node):
    """Leave what a run leaves that is killed while it makes a node."""
    with store.making(node.key) as scratch:
        (scratch / "half.txt").write_text("half")
        return scratch


def test_what_dead_runs_left_is_swept_and_parts_of_missing_results_stay(tmp_path):
    store, kept, half, held = Store(tmp_path), Drawn(1), Drawn(2), Drawn(3)
    run(held, store=store, jobs=1)
    for node in (kept, half, held):
        dead_run(store, node)
    for node in (kept, held):
        (tmp_path / ".partial" / node.key / "parts").mkdir()
        (tmp_path / ".partial" / node.key / "parts" / "0").write_text("part")
    (tmp_path / ".locks" / half.key).write_text("")
    (tmp_path / ".partial" / "damaged-0").mkdir()
    with store.making(Drawn(4).key) as busy:
        (busy / "text.txt").write_text("being written")
        store.sweep()
        assert {path.name for path in (tmp_path / ".partial").iterdir()} == {kept.key, Drawn(4).key}
        assert (busy / "text.txt").exists(), "what another process is making is left alone"
    assert not list((tmp_path / ".locks").iterdir())
    assert run(kept, store=store, jobs=1).startswith("part"), "a run goes on from the part"
    store.sweep()
    assert not list((tmp_path / ".partial").iterdir())


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_refused_before_anything_is_computed(tmp_path, monkeypatch, code):
    def flock(descriptor, how):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(ValueError, match=rf"cannot be locked \({os.strerror(code)}\): put it on another disk"):
        run(Drawn(1), store=tmp_path, jobs=1)
    assert not Store(tmp_path).entries()


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / ".locks").write_text("")
    with pytest.raises(ValueError, match=r"cannot be written to \(File exists\)"):
        run(Drawn(1), store=tmp_path, jobs=1)
