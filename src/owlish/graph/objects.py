"""The objects of a bucket: read, written, listed, deleted, and created only where there is none."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from owlish.graph.errors import UserError, import_extra
from owlish.graph.files import is_full

ADDRESS = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[A-Za-z0-9_=-][A-Za-z0-9_.=-]*)*)/?")
PROBE = ".conditional"
"""The object by which a server shows whether it honours conditions."""
NO_BUCKET = "NoSuchBucket"
EMPTY = ("InvalidRange", "416")
"""What a server says of an object without a first byte."""
EXISTS = ("PreconditionFailed", "412")
BUSY = ("ConditionalRequestConflict", "OperationAborted", "409")
"""What a server says of a conditional write while another is under way: try again."""
TRIES = 8
PAUSE = 0.1


class Listed(NamedTuple):
    """What a listing says of an object: its bytes, and a text that most servers make from the content, its MD5."""

    size: int
    tag: str

    def tells(self, content: bytes) -> bool:
        """Say whether the object surely has this content; a server that encrypts with a user's key never tells."""
        return self.tag == hashlib.md5(content, usedforsecurity=False).hexdigest()


class Objects:
    """The objects at `s3://BUCKET/FOLDER`, by their names below it, through s3fs.

    Where the server is and who asks is the user's AWS setting, from the environment or its files; it is kept nowhere.
    """

    def __init__(self, address: str) -> None:
        found = ADDRESS.fullmatch(address)
        if not found:  # what was given may hold a password, and is not repeated
            raise UserError("the address of a store in a bucket is s3://BUCKET or s3://BUCKET/FOLDER: give such a one.")
        self.bucket, self.root = found[1], found[1] + found[2]
        self.address = f"s3://{self.root}"

    @cached_property
    def system(self) -> Any:
        """The file system of fsspec, which a process keeps from one store to the next."""
        import_extra("s3fs", "a store in a bucket needs s3fs: install owlish[s3].")
        import fsspec

        # A cached listing would not show what other machines wrote since.
        return fsspec.filesystem("s3", use_listings_cache=False)

    def get(self, name: str) -> bytes | None:
        """Return an object's content, or `None` where there is no such object."""
        with self.asking():
            try:
                content: bytes = self.system.cat_file(self.path(name), start=0)  # else it asks for the size first
            except OSError as error:
                if code_of(error) in EMPTY:
                    return b""
                # s3fs raises one error for an object and for a bucket that is not there;
                # only the code behind it tells which.
                if not isinstance(error, FileNotFoundError) or code_of(error) == NO_BUCKET:
                    raise
                return None
            return content

    def load(self, name: str, file: Path) -> bool:
        """Copy an object into a file; say whether there is one."""
        with self.asking():
            try:
                self.system.get_file(self.path(name), str(file))
            except FileNotFoundError as error:
                if code_of(error) == NO_BUCKET:
                    raise
                return False
            return True

    def save(self, file: Path, name: str) -> None:
        """Copy a file into an object; one that is there is replaced."""
        with self.asking():
            self.system.put_file(str(file), self.path(name))

    def put(self, name: str, content: bytes) -> None:
        """Write an object; one that is there is replaced."""
        with self.asking():
            self.system.pipe_file(self.path(name), content)

    def create(self, name: str, content: bytes) -> bool:
        """Write an object where there is none; say whether this call did: of many at once one does."""
        with self.asking():
            for left in reversed(range(TRIES)):
                try:
                    # "create" sends `If-None-Match: *`: the server decides between
                    # writers, where to look first would leave a gap.
                    self.system.pipe_file(self.path(name), content, mode="create")
                    return True
                except OSError as error:
                    if isinstance(error, FileExistsError) or code_of(error) in EXISTS:
                        return False
                    if code_of(error) not in BUSY or not left:
                        raise
                time.sleep(PAUSE)
        raise AssertionError("the last try returns or raises")

    def list(self, below: str = "") -> dict[str, Listed]:
        """Return what a listing says of each object below a name, by the objects' names."""
        with self.asking():
            found = self.system.find(self.path(below).rstrip("/"), detail=True)
        return {
            path[len(self.root) + 1 :]: Listed(int(facts["size"] or 0), str(facts.get("ETag", "")).strip('"'))
            for path, facts in found.items()
        }

    def delete(self, name: str) -> None:
        """Delete an object, if it is there."""
        with self.asking():
            self.system.rm_file(self.path(name))

    def probe(self) -> None:
        """Raise `UserError` where the server writes over an object that it was told to create."""
        # A server that ignores conditions, such as s3rver, says both times that it created the object.
        if self.create(PROBE, b"") and self.create(PROBE, b""):
            self.delete(PROBE)
            raise UserError(
                f"the server of {self.address} ignores conditional writes (If-None-Match), so that two runs could "
                "mix their results: use another server, or a folder."
            )

    def path(self, name: str) -> str:
        """Return where s3fs finds an object."""
        return f"{self.root}/{name}"

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Turn what a server or the network refuses into a sentence, without their own words: they may hold a key."""
        from botocore import exceptions

        missing = (exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.ProfileNotFound)
        try:
            yield
        except missing as error:
            raise UserError(
                f"{self.address} needs credentials ({type(error).__name__}): set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE."
            ) from None
        # This and the next are kinds of `OSError`, and so must come before it.
        except FileNotFoundError:
            raise UserError(f"there is no bucket {self.bucket}: create it, or give another address.") from None
        except PermissionError as error:
            raise UserError(
                f"{self.address} refuses these credentials ({code_of(error) or 'no rights'}): give ones that may list, "
                "read, write and delete its objects."
            ) from None
        except (OSError, exceptions.BotoCoreError, exceptions.HTTPClientError) as error:
            # This machine's disk, as an object is copied: not the server's fault.
            if is_full(error):
                raise
            raise UserError(
                f"{self.address} cannot be reached ({code_of(error) or type(error).__name__}): check AWS_ENDPOINT_URL "
                "and AWS_DEFAULT_REGION, or run the same command later; what was finished is kept."
            ) from None


def code_of(error: BaseException) -> str:
    """Return the code with which a server refused a request; nothing, if it said none."""
    # s3fs turns botocore's errors into kinds of `OSError`, and keeps them as the cause.
    response = getattr(error.__cause__, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))
