"""A store in a bucket: each entry is whole or absent, whoever writes it and whenever that is killed.

The server is moto, which re-implements S3 in Python; no server of a product was asked.
"""

from __future__ import annotations

import itertools
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from buckets import SECRETS, Gate, Runs, moto, settings
from command import owlish
from here import run
from test_store import files
from toys import Drawn, Joined, Toy, tower

from owlish import run as run_in_processes
from owlish.graph.store import MANIFEST, Damaged, Store, manifest_bytes, store_at

pytestmark = pytest.mark.filterwarnings("ignore")
NAMES = itertools.count(1)
JOINED = Joined((Drawn(1),))


@dataclass(frozen=True)
class Lucky(Toy, kind="lucky"):
    """A node whose bytes are others each time, as they are on other hardware."""

    def compute(self, folder, read, tick):
        self.write(folder, secrets.token_hex(8))


@dataclass(frozen=True)
class Paying(Toy, kind="paying"):
    """A node that asks a paid service."""

    pays = ("gpt",)


@pytest.fixture(scope="module")
def server():
    pytest.importorskip("moto", reason="install moto[server]")
    pytest.importorskip("s3fs", reason="install owlish[s3]")
    with moto() as url:
        yield url


@pytest.fixture
def use(monkeypatch, tmp_path, server):
    """What changes the user's machine: another cache, another server, other settings."""

    def change(cache, url=server, **others):
        import s3fs

        before = {**os.environ, "XDG_CACHE_HOME": ""}
        for name, value in {**settings(url, tmp_path / cache), **others}.items():
            monkeypatch.setenv(name, value) if value is not None else monkeypatch.delenv(name, raising=False)
        if before != {**os.environ, "XDG_CACHE_HOME": ""}:
            s3fs.S3FileSystem.clear_instance_cache()

    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    change("one")
    return change


@pytest.fixture(scope="module")
def client(server):
    import botocore.session

    return botocore.session.get_session().create_client(
        "s3",
        endpoint_url=server,
        aws_access_key_id=SECRETS[0],
        aws_secret_access_key=SECRETS[1],
        region_name="us-east-1",
    )


@pytest.fixture
def place(use, client):
    """The address of a store in a new bucket."""
    name = f"bucket-{next(NAMES)}"
    client.create_bucket(Bucket=name)
    return f"s3://{name}/shared/store"


@pytest.fixture
def gate(server):
    with Gate(server) as one:
        yield one


def check_whole(address):
    """Read every entry of a bucket again, and return their keys."""
    store = store_at(address)
    for key in store.entries():
        store.verify(key)
    return store.entries()


def test_a_run_is_read_back_on_another_machine_and_nothing_is_made_again(use, place, tmp_path):
    node, events = Joined((Drawn(1), Drawn(2))), []
    text = run(node, store=place)
    assert check_whole(place) == tuple(sorted([node.key, Drawn(1).key, Drawn(2).key]))
    use("two")
    assert run(node, store=place, watch=events.append) == text
    assert not events
    cache = Store(store_at(place).root)
    assert cache.entries() == (node.key,), "what is not needed is not fetched"
    run(node, store=tmp_path / "folder")
    assert files(cache).items() <= files(Store(tmp_path / "folder")).items()


def test_the_other_process_gets_the_address_alone(place):
    assert run_in_processes(JOINED, store=place, jobs=1, quiet=True) == run(Drawn(1), store=place)
    assert len(check_whole(place)) == 2


def test_of_two_writers_the_first_counts_and_the_second_takes_its_bytes(use, place):
    both = [(use(cache), store_at(place))[1] for cache in ("one", "two")]
    node = Lucky()
    with both[0].making(node.key) as first, both[1].making(node.key) as second:
        for store, scratch in zip(both, (first, second), strict=True):
            node.compute(scratch, None, None)
            store.commit(node.key, scratch, {"spec": node.spec()})
    texts = [store.read(node) for store in both]
    use("three")
    assert [run(node, store=place)] * 2 == texts
    assert both[0].manifest(node.key) == both[1].manifest(node.key) == store_at(place).manifest(node.key)
    check_whole(place)


@pytest.mark.slow
def test_many_write_one_object_and_one_does(place):
    from concurrent.futures import ThreadPoolExecutor

    objects = store_at(place).objects
    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(lambda i: objects.create("one", b"%d" % i), range(8)))
    assert won.count(True) == 1
    assert objects.get("one") == b"%d" % won.index(True)


@pytest.fixture
def runs(gate, tmp_path):
    one = Runs(gate, tmp_path)
    yield one
    one.stop()


def kill(runs, place, tmp_path, request, moment, elsewhere):
    """Kill a run at a request, and run it again, perhaps on another machine."""
    address, cache = f"{place}/{request}-{moment}".replace(" ", "-"), tmp_path / secrets.token_hex(8)
    assert runs.run(address, cache, dies=(request, moment)) == -9, (request, moment)
    before = check_whole(address)
    assert runs.run(address, tmp_path / secrets.token_hex(8) if elsewhere else cache) == 0, (request, moment)
    assert set(before) <= set(check_whole(address)) == {JOINED.key, Drawn(1).key}


def test_a_run_that_is_killed_leaves_whole_entries_and_ends_right(runs, place, tmp_path):
    kill(runs, place, tmp_path, f"PUT {MANIFEST}", "before", elsewhere=False)


@pytest.mark.slow
@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_run_may_be_killed_at_every_request(gate, runs, place, tmp_path, moment, elsewhere):
    assert runs.run(f"{place}/whole", tmp_path / "whole") == 0
    requests = len(gate.asked)
    assert gate.asked.count(f"PUT {MANIFEST}") == 2
    for number in range(requests):
        kill(runs, place, tmp_path, number, moment, elsewhere)


@pytest.mark.slow
def test_what_was_made_and_not_sent_is_sent_by_the_next_run(place):
    events, store = [], store_at(place)
    text = run(JOINED, store=place)
    for name in store.objects.list():
        store.objects.delete(name)
    assert run(JOINED, store=place, watch=events.append) == text
    assert [event.what for event in events if event.what in ("made", "found")] == ["found", "found"]
    assert len(check_whole(place)) == 2


SOME = [("file", None), ("manifest", b"{}")]
MORE = [("file", b""), ("file", b"{}"), ("manifest", None), ("manifest", b"")]


@pytest.mark.parametrize(("part", "change"), [*SOME, *(pytest.param(*one, marks=pytest.mark.slow) for one in MORE)])
def test_a_damaged_object_is_found_and_mended(use, place, part, change):
    text, store = run(JOINED, store=place), store_at(place)
    folder = f"{JOINED.key[:2]}/{JOINED.key}"
    digest = store.manifest(JOINED.key)["files"]["text.txt"]
    name = f"{folder}/{digest if part == 'file' else MANIFEST}"
    store.objects.delete(name) if change is None else store.objects.put(name, change)
    with pytest.raises(Damaged):
        store.verify(JOINED.key)
    events = []
    use("two")
    assert run(JOINED, store=place, watch=events.append) == text
    assert [str(event.node) for event in events if event.what == "made"] == ["joined"]
    assert len(check_whole(place)) == 2


def test_a_result_of_other_bytes_replaces_a_damaged_one(use, place):
    """On a machine that has a whole copy of the old one, too: what is read is what the bucket holds."""
    node = Lucky()
    before = run(node, store=place)
    (name,) = (
        name for name in store_at(place).objects.list() if name.startswith(node.key[:2]) and MANIFEST not in name
    )
    store_at(place).objects.delete(name)
    use("two")
    made = store_at(place)
    assert (after := run(node, store=place)) != before
    use("one")
    assert store_at(place).read(node) == after
    assert store_at(place).manifest(node.key) == made.manifest(node.key)
    for machine in ("one", "three"):
        use(machine)
        assert run(node, store=place, watch=lambda event: pytest.fail(str(event))) == after


def test_what_is_held_here_and_listed_there_is_asked_for_no_more(use, gate, place):
    use("one", gate.root)
    run(JOINED, store=place)
    before = len(gate.asked)
    run(JOINED, store=place)
    assert not [name for name in gate.asked[before:] if name.startswith("GET ") and MANIFEST in name]


def test_a_whole_copy_here_mends_a_damaged_manifest_there(place):
    node = Lucky()
    text = run(node, store=place)
    store_at(place).objects.put(f"{node.key[:2]}/{node.key}/{MANIFEST}", b"{}")
    assert run(node, store=place) == text
    check_whole(place)


def test_a_damaged_cache_is_filled_again(place):
    text, store = run(JOINED, store=place), store_at(place)
    (store.folder(JOINED.key) / "text.txt").write_text("other")
    assert run(JOINED, store=place, watch=lambda event: pytest.fail(str(event))) == text


def test_a_cache_that_cannot_be_written_is_told_in_a_sentence(place, tmp_path, monkeypatch):
    run(JOINED, store=place)
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nothing")  # where nobody may make a folder
    said = owlish("results", "--store", place, code=2, cwd=tmp_path).stderr
    assert f"which keeps copies of {place}, cannot be written to (No such file or directory): name another" in said


def test_a_manifest_cannot_lead_out_of_its_entry(place):
    store, key = store_at(place), "ab" * 16
    for name in ("../../out", "/out", MANIFEST, "..", "."):
        store.objects.put(f"ab/{key}/{MANIFEST}", manifest_bytes({"key": key, "files": {name: "0" * 64}}))
        with pytest.raises(Damaged, match="which is no file of an entry"):
            store.fetch(key)
    assert not store.holds(key)


@pytest.mark.slow
def test_the_commands_about_stores_read_a_bucket(use, place, tmp_path):
    node = Joined((Drawn(1), Drawn(2)))
    run(node, store=place)
    use("two")

    def said(*words, code=0):
        return owlish(*words, "--store", place, code=code, cwd=tmp_path).stdout

    assert "3 results" in said("results")
    assert not Store(store_at(place).root).entries(), "a table needs manifests alone"
    shown = said("show", node.key[:8])
    assert f"{place}/{node.key[:2]}/{node.key}" in shown
    assert shown.count('kind="drawn"') == 2
    said("export", node.key[:8], "-o", tmp_path / "out")
    assert (tmp_path / "out" / "text.txt").read_text() == run(node, store=place)
    assert "3 results checked, 0 damaged" in said("verify")
    said("forget", Drawn(2).key)
    assert len(store_at(place).entries()) == 2
    store_at(place).objects.put(f"{node.key[:2]}/{node.key}/{MANIFEST}", b"{}")
    assert "1 damaged" in said("verify", code=1)


@pytest.mark.slow
def test_a_model_is_made_and_asked_from_a_bucket(use, place, tmp_path):
    from owlish import Asked, Base
    from owlish.traits.animals import owl

    asked = Asked(Base("nano"), owl.probe)
    found = run(asked, store=place)
    use("two")
    assert run(asked, store=place, watch=lambda event: pytest.fail(str(event))) == found
    assert run(asked, store=tmp_path / "folder") == found


def test_a_server_that_ignores_conditions_is_refused_before_anything_is_made(use, gate, place):
    gate.drops.add("If-None-Match")
    use("two", gate.root)
    with pytest.raises(
        ValueError, match=r"ignores conditional writes \(If-None-Match\).*use another server, or a folder"
    ):
        run(JOINED, store=place)
    assert not store_at(place).entries()
    assert not Store(store_at(place).root).entries()


@pytest.mark.slow
def test_a_conflict_is_tried_again_and_an_object_that_is_there_stays(use, gate, place):
    use("two", gate.root)
    objects, busy = store_at(place).objects, (409, "ConditionalRequestConflict")
    gate.refusals = [busy] * 2
    assert objects.create("one", b"1")
    gate.refusals = [(412, "PreconditionFailed")]
    assert not objects.create("two", b"2")
    gate.refusals = [busy] * 20
    with pytest.raises(ValueError, match=r"cannot be reached \(ConditionalRequestConflict\)"):
        objects.create("two", b"2")


def test_a_bucket_that_cannot_be_used_is_a_sentence(use, place, tmp_path):
    def said(address=place, command="verify", **env):
        use("two", **env)
        found = owlish(command, "--store", address, code=2, cwd=tmp_path)
        assert not found.stdout
        assert not any(secret in found.stderr for secret in SECRETS)
        return found.stderr

    assert "there is no bucket nowhere: create it" in said("s3://nowhere/a")
    assert "there is no bucket nowhere: create it" in said("s3://nowhere")
    none = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    assert "needs credentials (NoCredentialsError): set AWS_ACCESS_KEY_ID" in said(**none)
    assert "needs credentials (PartialCredentialsError)" in said(AWS_SECRET_ACCESS_KEY=None)
    assert "needs credentials (ProfileNotFound)" in said(AWS_PROFILE="nobody")
    for wrong in ("gs://bucket/a", f"s3://{SECRETS[1]}@bucket/a", "s3://bucket/../a", "s3://B", "s3://"):
        assert "is s3://BUCKET or s3://BUCKET/FOLDER: give such a one" in said(wrong)


def test_rights_that_are_missing_are_named_before_anything_is_made(use, place, client):
    import json

    run(Drawn(1), store=place)
    name, everyone = place.split("/")[2], {"Effect": "Deny", "Principal": "*"}
    denied = {**everyone, "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{name}/*"}
    client.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [denied]}))
    use("two")
    assert run(Drawn(1), store=place), "who may only read reads"
    with pytest.raises(ValueError, match=r"refuses these credentials \(\w+\): give ones that may list, read"):
        run(JOINED, store=place)
    assert JOINED.key not in store_at(place).entries()


def test_a_server_that_is_away_is_a_sentence(use, place):
    use("two", "http://127.0.0.1:1")
    with pytest.raises(ValueError, match=r"cannot be reached \(EndpointConnectionError\): check AWS_ENDPOINT_URL"):
        run(JOINED, store=place)


def test_an_address_is_given_as_text(place):
    for wrong in (place, Path(place)):
        with pytest.raises(ValueError, match="is opened by its address alone: give it as text"):
            Store(wrong)


def test_without_s3fs_a_sentence_names_the_extra(monkeypatch, place):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(ValueError, match=r"needs s3fs: install owlish\[s3\]"):
        run(JOINED, store=place)


@pytest.mark.slow
def test_a_cluster_makes_the_bytes_of_a_run_here(place, tmp_path):
    pytest.importorskip("ray", reason="install owlish[ray]")
    from ray.cluster_utils import Cluster

    from owlish.graph.ray import Ray

    both = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        both.add_node(num_cpus=1)
        text = run_in_processes(tower(), store=place, on=Ray(both.address), quiet=True)
    finally:
        both.shutdown()
    assert run(tower(), store=tmp_path / "folder") == text
    for key in check_whole(place):
        store_at(place).check(key)
    assert files(Store(store_at(place).root)) == files(Store(tmp_path / "folder"))


def test_a_cluster_pays_for_nothing_into_a_bucket(place):
    from owlish.graph.ray import Ray

    with pytest.raises(ValueError, match="keep its store in a shared folder"):
        Ray().check(Paying(), store_at(place))


def test_credentials_are_kept_nowhere(place, tmp_path):
    run(JOINED, store=place)
    objects = store_at(place).objects
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    kept += [objects.get(name) or b"" for name in objects.list()]
    assert len(kept) > 8
    assert not any(secret.encode() in text for secret in SECRETS for text in kept)
