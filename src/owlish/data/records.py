"""What a file holds before anyone asks what a row is: lines, items or cells, streamed and unpacked as they come."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from owlish.data.plain import DECODER, LENIENT, decode_line
from owlish.data.quotes import Lines, is_astray
from owlish.data.sources.format import Entry
from owlish.data.spooled import format_source
from owlish.graph.errors import UserError

KINDS = "a file of rows, a folder of save_to_disk, or the owner/name of a dataset on Hugging Face"
LONGEST = 4_000_000
"""The most bytes of a row: more of them is a file of another kind, or one made to fill a memory."""
TOO_LONG = f"is longer than {LONGEST / 1e6:g} MB."
NOT_UTF8 = "The {} is not UTF-8: save the file as UTF-8."
BATCH = 1024
CHUNK = 1 << 16
GZIP, ZSTD, PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"
ARRAY = re.compile(rb"\s*\[\s*(\{|\]\s*$)")
LONE = re.compile("[\ud800-\udfff]")
BETWEEN = re.compile(r"[\s,]*")
TABLE = re.compile(r"\.[ct]sv(\.gz|\.zst)?$", re.IGNORECASE)

Piece = tuple[bytes | None, Entry | str]
"""A line as it stands, where there is one, and its fields, or a sentence that says why it has none."""


@dataclass(frozen=True)
class Records:
    """The pieces of one file, in order, and the word for one of them."""

    unit: str
    pieces: Iterator[Piece]


def records(file: str, known: Callable[[Collection[str]], bool], wanted: Collection[str]) -> Records:
    """Return what `file` holds: JSONL, a JSON array, CSV, Parquet, or a folder that `save_to_disk` of datasets wrote.

    All but the folder may be packed with gzip or Zstandard, and text may be UTF-8 or, with its mark, UTF-16. `known`
    says whether the fields of a first line are a header; of a Parquet file only the columns `wanted` are read.
    """
    if Path(file).is_dir():
        return Records("row", arrow(file))
    with open_lines(file) as stream:
        # The first bytes decide, not the ending of the name: files are often packed or renamed.
        head = stream.peek(CHUNK)[:CHUNK].removeprefix(codecs.BOM_UTF8)
    if head.startswith(PARQUET):
        return Records("row", parquet(file, wanted))
    if ARRAY.match(head):
        return Records("item", read_pieces(file, items))
    # A text line that is no JSON may be a header of CSV: it is one if a format knows its fields.
    first = head.partition(b"\n")[0].decode(errors="replace").strip()
    mark = max(",;\t", key=first.count)
    if TABLE.search(file) or (
        not first.startswith("{") and known([name.strip() for name in next(csv.reader([first], delimiter=mark), [])])
    ):
        return Records("row", read_pieces(file, lambda stream: cells(stream, mark, file)))
    return Records("line", read_pieces(file, lines))


@contextmanager
def open_lines(file: str) -> Iterator[io.BufferedReader]:
    """Open a file for its bytes, unpacked, and in UTF-8 if it is UTF-16; `UserError` says that it is not whole."""
    try:
        with ExitStack() as stack:
            stream = stack.enter_context(Path(file).open("rb"))
            head = stream.peek(4)
            # Unpacked as it is read: a packed file of zeros would else fill the memory.
            if head.startswith(GZIP):
                stream = cast(io.BufferedReader, stack.enter_context(gzip.GzipFile(fileobj=stream)))
            elif head.startswith(ZSTD):
                stream = stack.enter_context(unzstd(stream, file))
            if stream.peek(2)[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                stream = stack.enter_context(io.BufferedReader(Recoded(stream)))
            yield stream
    except (EOFError, zlib.error, UnicodeDecodeError, OSError) as error:
        # Errors of the system have a number, and the caller names them; those of `gzip` are OSErrors without one.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UserError(f"{format_source(file)} is not whole, or not what its first bytes say: get it anew.") from None


def unzstd(stream: BinaryIO, file: str) -> io.BufferedReader:
    """Return the bytes that Zstandard packed."""
    try:
        from pyarrow import CompressedInputStream
    except ImportError:
        raise UserError(
            f"{format_source(file)} is packed with Zstandard: install owlish[datasets] to read it."
        ) from None
    return io.BufferedReader(CompressedInputStream(stream, "zstd"))


class Recoded(io.RawIOBase):
    """A stream of UTF-16 as UTF-8; half of a surrogate pair stays, and is no character there either."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.left = stream, b""
        # Halves of pairs pass here, so that their row is bad by its own line and not the whole file.
        self.decoder = codecs.getincrementaldecoder("utf-16")("surrogatepass")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self.left:
            chunk = self.stream.read(CHUNK)
            self.left = self.decoder.decode(chunk, final=not chunk).encode("utf-8", "surrogatepass")
            if not chunk:
                break
        taken, self.left = self.left[: len(buffer)], self.left[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


def read_pieces(file: str, read: Callable[[BinaryIO], Iterator[Piece]]) -> Iterator[Piece]:
    """Yield what `read` finds in a file."""
    with open_lines(file) as stream:
        yield from read(stream)


def lines(stream: BinaryIO) -> Iterator[Piece]:
    """Yield the lines of JSONL; of one that is too long only its start is ever in memory."""
    while line := stream.readline(LONGEST + 1):
        yield line, f"The line {TOO_LONG}" if len(line) > LONGEST else fields(line)
        # The rest of the line is read and thrown away: the next row begins after its end.
        while len(line) > LONGEST and not line.endswith(b"\n"):
            line = stream.readline(LONGEST + 1)


def fields(line: bytes) -> Entry | str:
    """Return the JSON object on a line, or what is wrong with it."""
    try:
        entry = decode_line(line.removeprefix(codecs.BOM_UTF8).decode())
    except UnicodeDecodeError:
        return NOT_UTF8.format("line")
    except UserError as problem:
        return f"The line {problem}"
    except RecursionError:
        return "The line nests too many lists and objects."
    except ValueError:
        return "The line is not JSON." if line.strip() else "The line is empty."
    return entry if isinstance(entry, dict) else "The line is not a JSON object."


def items(stream: BinaryIO) -> Iterator[Piece]:
    """Yield the items of a JSON array, of which only those that were read last are in memory."""
    with text_of(stream) as source:
        text = source.read(CHUNK)
        place = text.index("[") + 1
        while (place := BETWEEN.match(text, place).end()) == len(text) or text[place] != "]":  # type: ignore[union-attr]
            try:
                # Parsed item by item: `json.load` would have the whole array in memory.
                item, end = item_at(text, place)
            except (ValueError, RecursionError):  # it is cut here, or it is not JSON
                left = len(text) - place
                # As much again as is left: an item that is cut is parsed anew each time, and doubling keeps that
                # linear.
                more = source.read(max(CHUNK, left)) if left <= LONGEST else ""
                if not more:
                    yield None, "The item is not JSON, or too long, and nothing after it is read."
                    return
                text, place = text[place:] + more, 0
            else:
                # In ASCII, which Python knows of a text without looking, no letter stands for bytes that are no UTF-8.
                if not text.isascii() and LONE.search(text, place, end):
                    item = NOT_UTF8.format("item")
                yield None, item if isinstance(item, dict | str) else "The item is not a JSON object."
                place = end


def item_at(text: str, place: int) -> tuple[object, int]:
    """Return the item that begins at a place, or a sentence that says what is wrong with it, and where it ends."""
    try:
        item, end = DECODER.raw_decode(text, place)
    except UserError as problem:
        return f"The item {problem}", LENIENT.raw_decode(text, place)[1]
    return None if isinstance(item, str) else item, end


def cells(stream: BinaryIO, mark: str, file: str) -> Iterator[Piece]:
    """Yield the rows of a CSV file with a header; `mark` stands between its cells, and `file` is its name."""
    # Python's own limit of 131,072 letters is below what an answer may have.
    csv.field_size_limit(LONGEST)
    with text_of(stream) as source:
        lines = Lines(source, LONGEST)
        try:
            rows = whole_rows(lines, mark, file)
            names = header(next(rows, []))
            for row in filter(None, rows):  # an empty line is no row
                yield None, entry_of(row, names)
        except csv.Error as error:
            yield None, f"The row is not CSV ({error}), and nothing after it is read."


def whole_rows(lines: Lines, mark: str, file: str) -> Iterator[list[str]]:
    """Yield the rows of CSV; raise `UserError` where a quote holds other rows as well, for they would be lost."""
    reader, number = csv.reader(lines, delimiter=mark), 0
    while True:
        row: list[str] | None = None
        try:
            row = next(reader, None)
            astray = is_astray(lines, mark)
        except csv.Error:
            # Such a quote also ends in a cell that is longer than any may be.
            astray = is_astray(lines, mark)
            if not astray:
                raise
        if astray:
            place = f"row {number:,} (line {lines.first:,})" if number else "the header"
            raise UserError(
                f'{format_source(file)}: {place} opens a quote (") that is not closed at the end of a cell: close it '
                "or remove it, and write a quote inside a quoted cell twice."
            )
        if row is None:
            return
        lines.end_row()
        number += bool(row)
        yield row


def header(cells: list[str]) -> list[str]:
    """Return the names of columns."""
    # A header is typed by hand: a space beside a name is no part of it, and could not be named by --columns.
    names = [name.strip() for name in cells]
    if len(set(filter(None, names))) < len(list(filter(None, names))):
        raise UserError("the table has two columns of one name: give each a name of its own.")
    return names


def entry_of(row: list[str], names: list[str]) -> Entry | str:
    """Return the cells of a row by the names of their columns, or what is wrong with it."""
    if len(row) > len(names):
        return "The row has more cells than the header."
    # What `surrogateescape` made of bytes that are no UTF-8.
    if LONE.search("".join(row)):
        return NOT_UTF8.format("row")
    return dict(zip(names, row, strict=False))


def text_of(stream: BinaryIO) -> io.TextIOWrapper:
    """Return a stream as text, in which a byte that is not UTF-8 becomes half of a surrogate pair."""
    # `newline=""`, or the reader of CSV would lose ends of lines inside quoted cells.
    return io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")


def parquet(file: str, wanted: Collection[str]) -> Iterator[Piece]:
    """Yield the rows of a Parquet file."""
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise UserError(f"{file} is Parquet: install owlish[datasets] to read it.") from None
    try:
        with ParquetFile(file) as table:
            names = table.schema_arrow.names
            if len(set(names)) < len(names):
                raise UserError(f"{file} has two columns of one name: give each a name of its own.")
            # Other columns may be large (images, embeddings): they are named as ignored and never read.
            read = [name for name in names if name in wanted]
            for batch in table.iter_batches(batch_size=BATCH, columns=read):
                yield from table_rows(batch, [name for name in names if name not in wanted])
    except (OSError, ArrowException):
        raise UserError(f"{file} is not a whole Parquet file: get it anew.") from None


def arrow(folder: str) -> Iterator[Piece]:
    """Yield the rows of a folder that `save_to_disk` of datasets wrote."""
    files = arrow_files(folder)
    try:
        from pyarrow import ArrowException, ipc
    except ImportError:
        raise UserError(f"{folder} holds Arrow files: install owlish[datasets] to read them.") from None
    try:
        for file in files:
            with file.open("rb") as stream, ipc.open_stream(stream) as batches:
                for batch in batches:
                    yield from table_rows(batch, ())
    except (OSError, ArrowException):
        raise UserError(f"{folder} holds Arrow files that are not whole: save it anew.") from None


def arrow_files(folder: str) -> list[Path]:
    """Return the files of rows in a folder of `save_to_disk`, those of the split `train` if it has splits."""
    place = Path(folder)
    if (place / "dataset_dict.json").is_file():
        if not (place / "train").is_dir():
            names = ", ".join(sorted(each.name for each in place.iterdir() if each.is_dir()))
            raise UserError(f"{folder} has no split called train: give the folder of one of its splits ({names}).")
        place = place / "train"
    try:
        state = json.loads((place / "state.json").read_text())
        # The name alone: a `state.json` from somewhere must not point out of its folder.
        return [place / Path(each["filename"]).name for each in state["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"{folder} is a folder without rows: give {KINDS}.") from None


def table_rows(batch: Any, others: Collection[str]) -> Iterator[Piece]:
    """Yield the rows of a part of a table, without cells that are empty; `others` are columns that were not read."""
    named = dict.fromkeys(others)
    for row in batch.to_struct_array():
        try:
            # Row by row: one text that is no UTF-8 spoils its row and not the batch.
            cells = row.as_py()
        except UnicodeDecodeError:
            yield None, NOT_UTF8.format("row")
            continue
        yield None, named | {name: cell for name, cell in cells.items() if cell is not None}
