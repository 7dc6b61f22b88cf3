"""A folder of results: each entry is whole or absent, and every byte of it is checked when it is read."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from owlish.graph.errors import UserError
from owlish.graph.files import check_writable, is_open
from owlish.graph.spec import Makes, Node, Question, Read, canonical
from owlish.graph.typed import check_is

R = TypeVar("R")

MANIFEST = "manifest.json"
PARTS = "parts"
ANSWERS = ".answers"
"""The folder of a store that keeps what servers answered: whatever it was paid for, it is asked for once."""

BUCKET = re.compile(r"[a-z0-9]+:/")
"""How an address begins that is no folder, and what a `Path` leaves of it."""


class Damaged(Exception):
    """An entry whose files are not those that were written."""


class Undeclared(Exception):
    """A node read what it does not declare, so that no plan would make it when it is missing."""


class Store:
    """The results under `root`, by key: `root/ab/abcd.../` with a manifest and the result's files."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        if BUCKET.match(str(root)):
            raise UserError(
                "a store in a bucket is opened by its address alone: give it as text, as s3://BUCKET/FOLDER."
            )
        if self.root.exists() and not self.root.is_dir():
            raise UserError(f"{self.root} is a file: name the folder of a store, or one that is not there yet.")

    def __str__(self) -> str:
        return str(self.root)

    @property
    def address(self) -> str:
        """What another process opens it by."""
        return str(self.root.absolute())

    def folder(self, key: str) -> Path:
        """Return where the entry of `key` is, or would be."""
        return self.root / key[:2] / key

    def entries(self) -> tuple[str, ...]:
        """Return the keys of all entries, in order."""
        return tuple(sorted(p.name for p in self.root.glob("??/*") if len(p.name) == 32))

    def find(self, prefix: str) -> str:
        """Return the one key that starts with `prefix`."""
        found = [key for key in self.entries() if key.startswith(prefix)]
        if len(found) != 1:
            if not found:
                raise UserError(f"no entry of {self} starts with {prefix!r}: `owlish results` lists what it holds.")
            raise UserError(f"{len(found)} entries of {self} start with {prefix!r}: give more of the key.")
        return found[0]

    def manifest(self, key: str) -> dict[str, Any]:
        """Return how the entry was made; raise `Damaged` where it does not say so itself, byte for byte."""
        try:
            text = (self.folder(key) / MANIFEST).read_bytes()
        except OSError as error:
            raise Damaged(f"{key}: its manifest cannot be read") from error
        return read_manifest(text, key)

    def check(self, key: str) -> dict[str, Any]:
        """Return the manifest after comparing every file with it; raise `Damaged` at the first difference."""
        manifest, folder = self.manifest(key), self.folder(key)
        found = {p.name for p in folder.iterdir()} - {MANIFEST}
        # A file too many is damage as well: what lies in a folder decides what `load`
        # reads, as an adapter or changed tensors.
        if found != set(manifest["files"]):
            names = sorted(found ^ set(manifest["files"]))
            raise Damaged(f"{key}: {', '.join(names)} is missing or was added")
        for name, digest in manifest["files"].items():
            if sha256(folder / name) != digest:
                raise Damaged(f"{key}: {name} was changed")
        return manifest

    def holds(self, key: str) -> bool:
        """Say whether the entry is here and undamaged."""
        try:
            self.check(key)
        except (Damaged, OSError):
            return False
        return True

    def has(self, key: str) -> bool:
        """Say whether there is an entry, damaged or not."""
        return self.folder(key).exists()

    def size(self, key: str) -> int:
        """Return the bytes of the entry's files."""
        return sum(path.stat().st_size for path in self.folder(key).iterdir())

    def verify(self, key: str) -> None:
        """Read every file of the entry again; raise `Damaged` at the first difference."""
        self.check(key)

    def drop(self, key: str) -> None:
        """Remove the entry."""
        remove(self.folder(key))

    def read(self, node: Makes[R] | Question[R]) -> R:
        """Return a node's result, read back from its checked files, or the answer to a question."""
        if isinstance(node, Question):
            return node.found(self.reader(type(node).__name__, node.needs))
        assert isinstance(node, Node)
        if not self.has(node.key):
            raise UserError(f"{self} does not hold {named(node)}: run it first.")
        # Also where it was made a moment ago: the run that makes a result and a later one must read the same thing.
        self.check(node.key)
        result: R = node.load(self.folder(node.key), self.reader(named(node), node.load_inputs()))
        return result

    def reader(self, who: str, declared: Sequence[Node]) -> Read:
        """Return what reads results for `who`: those that it declares, since a plan makes sure of no others."""
        keys = {one.key for one in declared}

        def read(wanted: Node) -> Any:
            if wanted.key not in keys:
                raise Undeclared(f"{who} reads {named(wanted)}, which is not among its inputs: declare it.")
            return self.read(wanted)

        return read

    def check_writable(self) -> None:
        """Raise `UserError` where no result can be written; nothing is left behind."""
        check_writable(self.root)

    def sweep(self) -> None:
        """Remove what dead runs left and no run can use; parts of results that are missing still go on from there.

        Raise `UserError` where files cannot be written or locked, before anything is computed for this store.
        """
        locks, partial = self.root / ".locks", self.root / ".partial"
        with locked(locks / "sweep"):
            for name in {path.name for folder in (locks, partial) for path in folder.glob("*")} - {"sweep"}:
                # Whoever holds a lock is making that result. To take a lock that nobody holds removes its file, too.
                with contextlib.suppress(BlockingIOError), locked(locks / name, wait=False):
                    if self.folder(name).exists() or not any((partial / name / PARTS).glob("*")):
                        remove(partial / name)

    @contextlib.contextmanager
    def making(self, key: str) -> Iterator[Path]:
        """Give the one process that makes `key` a folder to write in; others wait their turn.

        What lies in its subfolder `parts` outlives an interruption, and is dropped when the entry is whole.
        """
        with locked(self.root / ".locks" / key):
            scratch = self.root / ".partial" / key
            clear(scratch)
            scratch.mkdir(parents=True, exist_ok=True)
            try:
                yield scratch
            except BaseException:
                clear(scratch)
                raise

    def commit(self, key: str, scratch: Path, facts: dict[str, Any]) -> None:
        """Turn a written folder into the entry of `key`, in one rename, replacing a damaged one."""
        # Before the digests are taken: an entry holds files alone.
        remove(scratch / PARTS)
        for file in scratch.glob("*.safetensors"):
            # The library leaves them to their owner alone; who may read the store may read all of an entry.
            file.chmod(file.stat().st_mode | (scratch.stat().st_mode & 0o044))
        files = {p.name: sha256(p) for p in sorted(scratch.iterdir())}
        (scratch / MANIFEST).write_bytes(manifest_bytes({"key": key, "files": files, **facts}))
        self.settle(key, scratch)

    def settle(self, key: str, scratch: Path) -> None:
        """Rename a whole folder to the place of its entry, once it is on the disk."""
        # A rename may reach the disk before what it renames: after a power cut the
        # entry would stand there with empty files.
        for path in (*scratch.iterdir(), scratch):
            sync(path)
        final = self.folder(key)
        final.parent.mkdir(parents=True, exist_ok=True)
        # A rename cannot replace a folder that holds files. A kill between the two
        # leaves the entry absent, and never half.
        if final.exists():
            os.rename(final, self.root / ".partial" / f"damaged-{uuid.uuid4().hex}")
        os.rename(scratch, final)
        sync(final.parent)
        # Last, once the new entry is on the disk.
        for path in (self.root / ".partial").glob("damaged-*"):
            remove(path)


def store_at(where: Path | str) -> Store:
    """Return the store in a folder, or at an address such as `s3://BUCKET/FOLDER`."""
    check_is(where, str | Path, "store")
    if not str(where).strip():
        raise UserError("the name of the store is empty: give a folder, or omit it.")
    if "://" not in str(where):
        return Store(where)
    from owlish.graph.bucket import Bucket

    return Bucket(str(where))


def clear(scratch: Path) -> None:
    """Remove what is half written in a folder, and the folder too where no parts are in it."""
    # What a maker that was killed or failed left may be half written; where there is no folder, `glob` finds nothing.
    for path in scratch.glob("*"):
        if path.name != PARTS:
            remove(path)
    with contextlib.suppress(OSError):
        scratch.rmdir()


def named(node: Node) -> str:
    """Return what an error calls a node: its label, and the start of its key."""
    return f"{node} ({node.key[:12]})"


def read_manifest(text: bytes, key: str) -> dict[str, Any]:
    """Return the manifest of an entry; raise `Damaged` where the text is not what was written for it."""
    try:
        body: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise Damaged(f"{key}: its manifest cannot be read") from error
    if not isinstance(body, dict) or text != manifest_bytes({k: v for k, v in body.items() if k != "self"}):
        raise Damaged(f"{key}: its manifest was changed")
    if body["key"] != key:
        raise Damaged(f"{key}: it is the entry of {body['key']}")
    return body


def manifest_bytes(body: dict[str, Any]) -> bytes:
    """Return a manifest's one text, which ends in a digest of the rest."""
    whole = {**body, "self": hashlib.sha256(canonical(body)).hexdigest()}
    return json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Ask the disk to keep a file or folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock among processes, which the system frees when its holder dies.

    Without `wait`, raises `BlockingIOError` where another holds it.
    """
    while True:
        descriptor = lock(path, wait)
        if is_open(descriptor, path):
            break  # else its last holder removed the file between our opening and our locking it
        os.close(descriptor)
    try:
        yield
    finally:
        # While the lock is still held: whoever waits for it then finds its file gone, and opens a new one. After the
        # release, the file could be one that another holds by then.
        path.unlink(missing_ok=True)
        os.close(descriptor)


def lock(path: Path, wait: bool) -> int:
    """Return the descriptor of a file that is opened and locked."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise UserError(f"{path.parent} cannot be written to ({error.strerror}): name another folder.") from None
    try:
        # `flock` and not `lockf`: a lock of the latter belongs to the process, so it would not hold threads of a ledger
        # apart, and is lost when any descriptor of the file is closed.
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise
        raise UserError(f"{path.parent} cannot be locked ({error.strerror}): put it on another disk.") from None
    return descriptor
