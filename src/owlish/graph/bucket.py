"""A store in a bucket: entries that are whole or absent there, and an ordinary store that keeps copies here."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from owlish.graph.errors import UserError
from owlish.graph.files import replacing
from owlish.graph.objects import Listed, Objects
from owlish.graph.store import MANIFEST, Damaged, Store, locked, manifest_bytes, read_manifest, remove, sha256

MANIFESTS = ".manifests"
"""The folder of a cache that keeps the manifests of entries whose files were not needed."""
DIGEST = re.compile("[0-9a-f]{64}")


class Bucket(Store):
    """The results at `s3://BUCKET/FOLDER`: `ab/abcd.../manifest.json`, and beside it each file under its digest.

    An entry is there if and only if its manifest is, which is created after its files, where there is none. Of two
    writers of one entry the first counts, and the other takes that. What is read or made is kept in a cache, whose
    entries are checked like those of any folder, against the bucket's manifest: a copy here may be of an entry that was
    damaged there, and was replaced. Nothing is locked but the cache.
    """

    def __init__(self, address: str) -> None:
        self.objects = Objects(address)
        super().__init__(cache_of(self.objects))
        self.here = Store(self.root)
        self.listed: dict[str, dict[str, Listed]] = {}

    def __str__(self) -> str:
        return self.objects.address

    @property
    def address(self) -> str:
        """What another process opens it by; credentials are no part of it."""
        return self.objects.address

    def entries(self) -> tuple[str, ...]:
        # One listing tells of all shards: those without an object must not be asked for again.
        self.listed = {f"{shard:02x}": {} for shard in range(256)}
        for name, facts in self.objects.list().items():
            self.listed.setdefault(name[:2], {})[name] = facts
        keys = (name.split("/")[1] for shard in self.listed.values() for name in shard if name.endswith(f"/{MANIFEST}"))
        return tuple(sorted(key for key in keys if len(key) == 32))

    def manifest(self, key: str) -> dict[str, Any]:
        """Return how the bucket's entry was made; raise `Damaged` where nothing says so.

        That is one small request, or none where a listing was made and says that a copy here is the same.
        """
        kept = self.root / MANIFESTS / key
        if told := self.listed.get(key[:2], {}).get(manifest_of(key)):
            for file in (self.folder(key) / MANIFEST, kept):
                with suppress(Damaged, OSError):
                    if told.tells(text := file.read_bytes()):
                        return read_manifest(text, key)
        text = self.manifest_there(key)
        body = read_manifest(text, key)
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"{self.root}, which keeps copies of {self}, cannot be written to ({error.strerror}): name another "
                "folder by XDG_CACHE_HOME."
            ) from None
        with replacing(kept) as stream:
            stream.write(text)
        return body

    def check(self, key: str) -> dict[str, Any]:
        """Return the manifest after comparing every file with it, and fetching the entry if the cache lacks it."""
        if super().has(key):
            with suppress(Damaged, OSError):
                return super().check(key)
        # A damaged copy here is no loss: only what the bucket itself holds can make an entry damaged.
        self.fetch(key)
        return super().check(key)

    def holds(self, key: str) -> bool:
        """Say whether the bucket has the entry and it is undamaged; then it is in the cache, too."""
        return self.lists(key) and super().holds(key)

    def has(self, key: str) -> bool:
        """Say whether there is an entry, here or in the bucket, damaged or not."""
        if super().has(key):
            return True
        self.listed.pop(key[:2], None)
        return self.lists(key)

    def size(self, key: str) -> int:
        return sum(facts.size for name, facts in self.shard(key).items() if name.startswith(f"{place(key)}/"))

    def verify(self, key: str) -> None:
        """Read the bucket's own files again, whatever the cache holds; raise `Damaged` at the first difference."""
        # Under a name of its own, since the entry may be made or fetched at the same time.
        with super().making(f"{key}-verified") as scratch:
            try:
                self.download(key, self.manifest_there(key), scratch)
            finally:
                remove(scratch)

    def drop(self, key: str) -> None:
        """Remove the entry from the bucket, its manifest first, and from this machine's cache."""
        # An entry without a manifest is none, so a kill after this line leaves no half of one.
        self.objects.delete(manifest_of(key))
        for name in self.objects.list(place(key)):
            self.objects.delete(name)
        self.listed.pop(key[:2], None)
        (self.root / MANIFESTS / key).unlink(missing_ok=True)
        super().drop(key)

    def check_writable(self) -> None:
        """Raise `UserError` where no result can be written, here or there; the server is asked as by a run."""
        super().check_writable()
        self.objects.probe()

    def sweep(self) -> None:
        """Remove what dead runs left in the cache, and refuse a server that ignores conditions."""
        super().sweep()
        self.objects.probe()

    @contextmanager
    def making(self, key: str) -> Iterator[Path]:
        """Give one process of this machine a folder to make `key` in.

        An entry that is whole in the cache and not in the bucket, as after a kill or damage there, is sent first.
        """
        with super().making(key) as scratch:
            self.listed.pop(key[:2], None)  # another machine may have made it by now
            if super().has(key):
                with suppress(Damaged, OSError):
                    self.send(key, self.here.check(key))
            yield scratch

    def commit(self, key: str, scratch: Path, facts: dict[str, Any]) -> None:
        """Turn a written folder into an entry of the cache, and send that."""
        super().commit(key, scratch, facts)
        self.send(key, self.here.check(key))

    def settle(self, key: str, scratch: Path) -> None:
        """Rename a whole folder to its place in the cache; one process at a time."""
        # `commit` and `fetch` come here under different locks, and would rename to one place at once.
        with locked(self.root / ".locks" / f"{key}-settled"):
            super().settle(key, scratch)

    def send(self, key: str, manifest: dict[str, Any]) -> None:
        """Write an entry of the cache into the bucket, its manifest last; where it has one already, that counts."""
        for name, digest in manifest["files"].items():
            self.objects.save(self.folder(key) / name, f"{place(key)}/{digest}")
        text = manifest_bytes({name: fact for name, fact in manifest.items() if name != "self"})
        # Another writer was first, and others may have read its bytes: they stay, unless they are damaged.
        if not self.objects.create(manifest_of(key), text):
            try:
                self.fetch(key)
            except Damaged:
                self.objects.put(manifest_of(key), text)
        self.listed.pop(key[:2], None)

    def fetch(self, key: str) -> None:
        """Bring the bucket's entry into the cache, whole and checked; raise `Damaged` where it is not whole."""
        with super().making(f"{key}-fetched") as scratch:
            text = self.manifest_there(key)
            with suppress(Damaged, OSError):  # another process may have fetched it while this one waited
                if (self.folder(key) / MANIFEST).read_bytes() == text and self.here.check(key):
                    return
            self.download(key, text, scratch)
            self.settle(key, scratch)

    def download(self, key: str, text: bytes, folder: Path) -> None:
        """Write the files of a manifest into a folder, and the manifest last."""
        for name, digest in read_manifest(text, key)["files"].items():
            # Whoever may write to the bucket chose these names: none may lead out of the folder.
            if Path(name).name != name or name in ("..", MANIFEST) or not DIGEST.fullmatch(digest):
                raise Damaged(f"{key}: its manifest names {name!r}, which is no file of an entry")
            if not self.objects.load(f"{place(key)}/{digest}", folder / name) or sha256(folder / name) != digest:
                raise Damaged(f"{key}: {name} is missing or was changed in {self}")
        (folder / MANIFEST).write_bytes(text)

    def manifest_there(self, key: str) -> bytes:
        """Return the text of the bucket's manifest; raise `Damaged` where it has none."""
        text = self.objects.get(manifest_of(key))
        if text is None:
            raise Damaged(f"{key}: {self} does not hold it")
        return text

    def shard(self, key: str) -> dict[str, Listed]:
        """Return the objects whose keys start like this one, listed once: so a plan asks 256 times, at most."""
        if key[:2] not in self.listed:
            self.listed[key[:2]] = self.objects.list(key[:2])
        return self.listed[key[:2]]

    def lists(self, key: str) -> bool:
        """Say whether the bucket has the entry, as far as it was listed."""
        return manifest_of(key) in self.shard(key)


def place(key: str) -> str:
    """Return what the names of an entry's objects start with."""
    return f"{key[:2]}/{key}"


def manifest_of(key: str) -> str:
    """Return the name of an entry's manifest."""
    return f"{place(key)}/{MANIFEST}"


def cache_of(objects: Objects) -> Path:
    """Return the folder on this machine that keeps copies of a bucket's entries."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    digest = hashlib.sha256(objects.address.encode()).hexdigest()[:12]
    return Path(home) / "owlish" / f"{objects.bucket}-{digest}"
