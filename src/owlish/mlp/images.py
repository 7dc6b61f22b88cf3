"""Images of digits: the 8x8 ones that are shipped, and MNIST from a folder."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from owlish.graph.errors import UserError
from owlish.graph.spec import Value

if TYPE_CHECKING:
    from torch import Tensor

SHIPPED = Path(__file__).with_name("digits.gz")
SHIPPED_SHA256 = "68aea062d35a127749050fa0e52dca09d6569ac08092c925610e0954e172dde2"
TEST_EVERY = 5
MNIST = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""The four files of MNIST and the published SHA-256 of their uncompressed bytes."""


@dataclass(frozen=True)
class Labelled:
    """Training and test images: float [images, pixels] from -1 to 1, and their digits, int64 [images]."""

    train: Tensor
    train_digits: Tensor
    test: Tensor
    test_digits: Tensor


@dataclass(frozen=True)
class Images(Value, kind="images"):
    """Labelled images of digits, of so many pixels."""

    pixels: ClassVar[int]

    def check(self) -> None:
        """Raise `UserError` where the images cannot be read."""

    def read(self) -> Labelled:
        """Return the images."""
        raise NotImplementedError


@dataclass(frozen=True)
class Digits(Images, kind="digits8"):
    """1,797 images of 8x8 pixels, every fifth of them for testing.

    References
    ----------
    Alpaydin and Kaynak (1998). Optical Recognition of Handwritten Digits, its test set. UCI Machine Learning
    Repository, doi:10.24432/C50P49, under CC BY 4.0.
    """

    pixels: ClassVar[int] = 64

    def read(self) -> Labelled:
        import torch

        raw = gzip.decompress(SHIPPED.read_bytes())
        if hashlib.sha256(raw).hexdigest() != SHIPPED_SHA256:
            raise UserError(f"{SHIPPED} is damaged: install owlish again.")
        # torch warns of memory that it may not write to. A row is 64 pixels from 0 to 16, and the digit.
        rows = torch.frombuffer(bytearray(raw), dtype=torch.uint8).view(-1, 65)
        images, digits = rows[:, :64] / 8.0 - 1, rows[:, 64].long()
        # Without a seed: everybody tests on the same images.
        test = torch.arange(len(rows)) % TEST_EVERY == 0
        return Labelled(images[~test], digits[~test], images[test], digits[test])


@dataclass(frozen=True)
class Mnist(Images, kind="mnist"):
    """The 60,000 and 10,000 images of MNIST, from the idx files in a folder, gzipped or not."""

    folder: str | None = None

    pixels: ClassVar[int] = 784

    def spec(self) -> dict[str, Any]:
        # The same images wherever they lie.
        return {**super().spec(), "folder": None, "sha256": dict(MNIST)}

    def check(self) -> None:
        for name in MNIST:
            self.file(name)

    def read(self) -> Labelled:
        import torch

        files = [torch.frombuffer(bytearray(self.file(name)), dtype=torch.uint8) for name in MNIST]
        # idx files open with 16 bytes about images, and with 8 about digits.
        train, test = (images[16:].view(-1, self.pixels) / 127.5 - 1 for images in files[::2])
        return Labelled(train, files[1][8:].long(), test, files[3][8:].long())

    def file(self, name: str) -> bytes:
        """Return the uncompressed bytes of a file, which must be the published ones."""
        if self.folder is None:
            raise UserError(f"MNIST is not shipped: give a folder that holds {', '.join(MNIST)} with --data.")
        plain = Path(self.folder, name)
        packed = plain.with_name(f"{name}.gz")
        try:
            raw = plain.read_bytes() if plain.exists() else gzip.decompress(packed.read_bytes())
        except (OSError, EOFError, zlib.error) as error:
            why = (isinstance(error, OSError) and error.strerror) or "it is cut off or no gzip file"
            raise UserError(f"{packed} cannot be read ({why}): give a folder with the files of MNIST.") from None
        if hashlib.sha256(raw).hexdigest() != MNIST[name]:
            raise UserError(f"{name} in {self.folder} is not the published file: download it again.")
        return raw
