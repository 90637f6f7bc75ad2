"""A decoded message: values by field name, Caffe's defaults for what is absent, and its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from layerscope.errors import LimitError, ReadError
from layerscope.readers.caffe.schema import Field, MessageType
from layerscope.text import decoded, nearest_hint, plural, printable, quoted

MAX_DEPTH = 64
MAX_FIELDS = 200_000
STRING_UNIT = 64  # this many bytes of text count as one field
MAX_KINDS = 1000  # a hostile file may hold a million kinds of unknown field
MAX_NOTES = 20
_BLOCK = 1 << 14
_CONTINUATION = bytes(range(0x80, 0xC0))  # the later bytes of a character in UTF-8


class Lines:
    """Line and column of an offset in a text that is held as Latin-1, one character a byte.

    An index with one entry for each 16 KB makes every question cheap, also in a file of one line,
    and costs next to no memory, also in a file of empty lines.  LF, CRLF and CR end a line.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._index = [(0, 0)]  # at the start of each block: lines before it, characters before it
        for end in range(_BLOCK, len(text) + 1, _BLOCK):
            self._index.append(self._advance(end - _BLOCK, end))

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column, counted from 1; columns count characters, not bytes."""
        row, column = self._advance(offset // _BLOCK * _BLOCK, offset)
        return row + 1, column + 1

    def _advance(self, start: int, end: int) -> tuple[int, int]:
        row, column = self._index[start // _BLOCK]
        text = self._text
        last = max(text.rfind("\n", start, end), text.rfind("\r", start, end))
        if last < 0:
            return row, column + _width(text[start:end])
        row += text.count("\n", start, end) + text.count("\r", start, end)  # CRLF twice
        return row - text.count("\r\n", start, end + 1), _width(text[last + 1 : end])


def _width(latin: str) -> int:
    """How many characters of UTF-8 these bytes are."""
    return len(latin.encode("latin-1").translate(None, _CONTINUATION))


class Source:
    """A file being decoded: says where an offset is, and limits how much may be built from it.

    Every decoded field, message and 64 bytes of text is counted, so that a small hostile file
    cannot become a large structure in memory.  A text file says line and column, a binary one the
    byte offset.
    """

    def __init__(self, name: str | Path, text: str | None = None) -> None:
        self.name = printable(Path(name).name)
        self.fields = 0
        self.recoded = 0
        self.notes: list[str] = []
        self._text = text
        self._lines: Lines | None = None
        self._unknown: Counter[str] = Counter()
        self._first: dict[str, tuple[int, str, Iterable[str]]] = {}

    @property
    def binary(self) -> bool:
        """Whether the file names its fields by number."""
        return self._text is None

    def place(self, offset: int) -> str:
        """`net.prototxt:41:7` in a text file, `net.caffemodel @1024` in a binary one."""
        if self._text is None:
            return f"{self.name} @{offset}"
        if self._lines is None:
            self._lines = Lines(self._text)
        row, column = self._lines.place(offset)
        return f"{self.name}:{row}:{column}"

    def fail(self, offset: int, what: str) -> ReadError:
        """The error for damage at an offset."""
        return ReadError(f"{self.place(offset)}: {what}")

    def spend(self, offset: int, fields: int = 1) -> None:
        """Count a field.

        Raises:
            LimitError: the file has more fields than any real net.
        """
        self.fields += fields
        if self.fields > MAX_FIELDS:
            raise LimitError(
                f"{self.place(offset)}: more than {MAX_FIELDS:,} fields; no real net has so many"
            )

    def spend_text(self, offset: int, size: int) -> None:
        """Count text that is kept."""
        self.spend(offset, size // STRING_UNIT)

    def ignore(self, offset: int, what: str, name: str = "", known: Iterable[str] = ()) -> None:
        """Remember something unknown, to be said once per kind.

        Args:
            offset: where it stands.
            what: the kind, as the note will say it.
            name: what was written, where `known` could have been meant.
            known: the names that are known there.
        """
        if what not in self._first:
            if len(self._first) >= MAX_KINDS:
                return
            self._first[what] = offset, name, known
        self._unknown[what] += 1

    def recode(self, offset: int, words: str, encoding: str) -> None:
        """Remember a text that is not UTF-8."""
        self.recoded += 1
        if self.recoded <= MAX_NOTES:
            self.notes.append(
                f"{self.place(offset)}: text {quoted(words)} is not UTF-8, read as {encoding}"
            )

    def ignore_value(self, offset: int, field: Field, word: str) -> None:
        """Remember a value that is not of its enum."""
        known = ", ".join(field.enum.numbers)
        self.ignore(offset, f"{field.name}: {quoted(word)} (not of {field.type_name}: {known})")

    def all_notes(self) -> list[str]:
        """What the user should know: one line for each kind of unknown field, and the rest."""
        kinds = self._unknown.most_common(MAX_NOTES)
        lines = []
        for what, number in kinds:
            offset, name, known = self._first[what]
            times = plural(number, "time")
            hint = nearest_hint(name, known)
            lines.append(f"{self.place(offset)}: {what} kept, ignored ({times}){hint}")
        if len(self._unknown) > len(kinds):
            lines.append(f"{len(self._unknown) - len(kinds)} more kinds of unknown field, ignored")
        if self.recoded > MAX_NOTES:
            lines.append(f"{plural(self.recoded - MAX_NOTES, 'more text')} in another encoding")
        return [*self.notes, *lines]


class Message:
    """One decoded message.  `message.field` gives the value, or Caffe's default for it.

    A repeated field gives a sequence (a list, or an array of numbers); a message that is not there
    gives an empty one, whose fields are at their defaults.  `has` tells the difference.
    """

    __slots__ = ("_places", "_type", "_values", "origin", "start", "unknown")

    def __init__(self, kind: MessageType, origin: Source | None = None, start: int = 0) -> None:
        self._type = kind
        self._values: dict[str, Any] = {}
        self._places: dict[str, int] | None = None
        self.origin = origin
        self.start = start
        self.unknown: list[tuple[str, str]] = []

    @property
    def kind(self) -> MessageType:
        """The message's type in the schema."""
        return self._type

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            pass
        field = self._type.find(name)
        if field is None:
            raise AttributeError(f"{self._type.name} has no field {name!r}")
        if field.repeated:
            return ()
        return Message(field.message, self.origin, self.start) if _nested(field) else field.default

    def has(self, name: str) -> bool:
        """Whether the file states this field."""
        return name in self._values

    def given(self) -> Iterator[tuple[Field, Any]]:
        """The fields that the file states, in the order of the file."""
        for name, value in self._values.items():
            yield self._field(name), value

    def put(self, field: Field, value: Any, offset: int | None = None) -> None:
        """Set a field; `offset` says where in the file it stands."""
        self._values[field.name] = value
        if offset is not None:
            if self._places is None:
                self._places = {}
            self._places.setdefault(field.name, offset)

    def set(self, name: str, value: Any) -> None:
        """Set a field by name, as an upgrade or a writer does."""
        self.put(self._field(name), value)

    def _field(self, name: str) -> Field:
        field = self._type.find(name)
        if field is None:
            raise KeyError(f"{self._type.name} has no field {name!r}")
        return field

    def drop(self, name: str) -> None:
        """Forget a field."""
        self._values.pop(name, None)

    def copy(self) -> Message:
        """The same fields in another message; inner messages are shared."""
        twin = Message(self._type, self.origin, self.start)
        twin._values = dict(self._values)
        twin._places = self._places
        twin.unknown = self.unknown
        return twin

    def place(self, name: str = "") -> str:
        """Where the file states this field, or else this message: `net.prototxt:41:7`."""
        if self.origin is None:
            return ""
        return self.origin.place(self.offset_of(name))

    def offset_of(self, name: str) -> int:
        """The offset of a field in its file, or of the message where that is not known."""
        return (self._places or {}).get(name, self.start)

    def __repr__(self) -> str:
        return f"<{self._type.name} {' '.join(self._values)}>"


def _nested(field: Field) -> bool:
    return field.kind == "message"


def decode_text(raw: bytes, source: Source, offset: int) -> str:
    """Text from a file: UTF-8, or the GBK or Latin-1 of older models, with a note."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        words, encoding = decoded(raw)
        source.recode(offset, words, encoding)
        return words
