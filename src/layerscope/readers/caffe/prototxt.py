r"""Read Caffe's text definitions (protobuf text format) into messages.

Accepts what protobuf's own parser accepts and what files in the wild hold: comments, CRLF and CR,
a byte order mark, `:` left out before `{`, `;` and `,` between fields, `{}` or `<>`, both quotes,
adjacent strings, lists `[1, 2]`, enums by name or number, hexadecimal and octal numbers, `0.1f`,
`inf` and `nan`.  Every error has file, line and column.  An unknown field is kept as its text and
noted once per kind.

The text is held as Latin-1 (one byte, one character), so a large file costs its own size and no
more, and every offset is a byte offset; strings are decoded one by one.
"""

from __future__ import annotations

import array
import re
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn

from layerscope.errors import LimitError
from layerscope.readers.caffe.message import MAX_DEPTH, Message, Source, decode_text
from layerscope.readers.caffe.schema import FLOATS, INTEGERS, Field, MessageType, message_type
from layerscope.text import quoted, size

MAX_TEXT = 32_000_000

# The quantifiers are possessive (`*+`): a plain one remembers every step, 100 bytes for each byte.
_SKIP = re.compile(r"(?:[ \t\r\n\f\v]++|\xc2\xa0|#[^\r\n]*+)++")  # \xc2\xa0: a no-break space
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*+")
_EXTENSION = re.compile(r"\[[A-Za-z0-9_./]++\]")
_NUMBER = re.compile(
    r"0[xX][0-9a-fA-F]++|(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?[fF]?"
)
_NOT_FINITE = re.compile(r"-?(inf(?:inity)?|nan)f?", re.IGNORECASE)
_STRING = re.compile(r'"(?:[^"\\\r\n]++|\\.)*+"|' + r"'(?:[^'\\\r\n]++|\\.)*+'")
_PLAIN = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]*+)?(?:[eE][+-]?[0-9]++)?")
_BLANK = r"[ \t\r\n]"
_ESCAPE = re.compile(
    r"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})"
    r"|u([dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"  # one character in two halves
    r"|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))"
)
_LETTERS = {"n": 10, "t": 9, "r": 13, "a": 7, "b": 8, "f": 12, "v": 11, "\\": 92, "'": 39, '"': 34,
            "?": 63}  # fmt: skip
_TRUE = frozenset({"true", "True", "t", "1"})
_FALSE = frozenset({"false", "False", "f", "0"})
_RANGE = {
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}
_CLOSER = {"{": "}", "<": ">"}
_READER = {
    **dict.fromkeys(INTEGERS, "integer"), **dict.fromkeys(FLOATS, "real"),
    "bool": "boolean", "enum": "enum", "string": "string", "bytes": "raw_string",
}  # fmt: skip


def parse(content: bytes, name: str, kind: str = "NetParameter") -> Message:
    """Decode a text definition.

    Args:
        content: the bytes of the file.
        name: the file's name, for messages.
        kind: the message that the file holds.

    Raises:
        ReadError: the text is not of the format, with line and column.
        LimitError: larger than 32 MB, or more fields than any real net.
    """
    if len(content) > MAX_TEXT:
        raise LimitError(f"{name}: {size(len(content))} of text; the limit is {size(MAX_TEXT)}")
    text = _transcode(content).decode("latin-1")
    source = Source(name, text)
    parser = _Parser(text, source)
    root = Message(message_type(kind), source, 0)
    parser.fields(root)
    return root


def _transcode(content: bytes) -> bytes:
    """UTF-16 with its mark becomes UTF-8; a UTF-8 mark is cut off."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace").encode("utf-8")
    return content.removeprefix(b"\xef\xbb\xbf")


class _Parser:
    """Recursive descent over the text, `at` being the place that is read next."""

    def __init__(self, text: str, source: Source) -> None:
        self.text = text
        self.source = source
        self.at = 0

    # --- words ---

    def skip(self) -> None:
        found = _SKIP.match(self.text, self.at)
        if found:
            self.at = found.end()

    def take(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self.text, self.at)
        if found is None:
            return None
        self.at = found.end()
        self.skip()
        return found.group()

    def accept(self, signs: str) -> str:
        """The next character if it is one of `signs`, else ''."""
        sign = self.text[self.at : self.at + 1]
        if not sign or sign not in signs:
            return ""
        self.at += 1
        self.skip()
        return sign

    def fail(self, wanted: str) -> NoReturn:
        """Raise the error for the place that is read next, saying what stands there."""
        raise self.source.fail(self.at, f"{wanted}, {self.seen()}")

    def seen(self) -> str:
        """What stands at the place that is read next, with a hint for a common mistake."""
        rest = self.text[self.at : self.at + 120].encode("latin-1").decode("utf-8", "replace")
        if not rest:
            return "the file ends"
        word = re.match(r"\w*", rest, re.ASCII).group() or rest[0]  # type: ignore[union-attr]
        if word in ("'", '"'):
            return "found a string"
        if word in "“”‘’＂＇":
            return f'found {quoted(word)}; a typographic quote stands where " must'
        if word == "$":
            return 'found "$"; this is a template: fill in its $ names first'
        if rest.startswith(("//", "/*")):
            return f"found {quoted(rest[:2])}; comments begin with #"
        return f"found {quoted(word)}"

    # --- fields ---

    def fields(self, into: Message, closer: str = "", depth: int = 0) -> None:
        """Read `name: value` until `closer` ('' means the end of the text)."""
        if depth > MAX_DEPTH:
            raise LimitError(f"{self.source.place(into.start)}: nested deeper than {MAX_DEPTH}")
        self.skip()
        while not (closer and self.accept(closer)):
            if self.at >= len(self.text):
                if closer:
                    self.unclosed(closer, into.start)
                return
            self.field(into, closer, depth)
            self.accept(";,")

    def unclosed(self, closer: str, opened: int) -> NoReturn:
        self.fail(f'a "{closer}" is missing for what opens at {self.source.place(opened)}')

    def name(self, closer: str) -> str:
        """The name of a field; in brackets, as protobuf writes extensions, it keeps them."""
        name = self.take(_NAME) or self.take(_EXTENSION)
        if name is None:
            wanted = f'a field name or "{closer}"' if closer else "a field name"
            self.fail(f"{wanted} should stand here")
        return name

    def field(self, into: Message, closer: str, depth: int) -> None:
        at = self.at
        name = self.name(closer)
        field = into.kind.find(name)
        if field is None or not (field.repeated and field.kind in FLOATS):
            self.source.spend(at)  # floats are held at four bytes each
        if field is None:
            self.unknown(into, name, at, depth)
        elif field.repeated:
            self.repeated(into, field, depth)
        else:
            if into.has(name):
                raise self.source.fail(at, f"{name} stands twice; it may be given once")
            value_at = self.at + (self.text[self.at : self.at + 1] == ":")
            into.put(field, self.value(field, into.kind, depth), value_at)

    def repeated(self, into: Message, field: Field, depth: int) -> None:
        values = getattr(into, field.name)
        if not into.has(field.name):
            # A long list of floats is held as numbers ("f" or "d"), not as objects of 24 bytes.
            values = array.array(field.kind[0]) if field.kind in FLOATS else []
            into.put(field, values, self.at)
        colon = self.accept(":")
        if (colon or field.kind == "message") and self.accept("["):
            self.items(lambda: self.item(values, field, into.kind, depth), field.kind in FLOATS)
        else:
            if colon and field.kind in FLOATS:
                self.plain_floats(values, rf"(?<={_BLANK}){field.name}{_BLANK}*+:")
            values.append(self.value(field, into.kind, depth, colon))

    def items(self, one: Callable[[], None], free: bool = False) -> None:
        """The rest of `[a, b]`; `one` reads an item."""
        if self.accept("]"):
            return
        one()
        while not self.accept("]"):
            if not self.accept(","):
                self.fail("a list needs , or ] here")
            if not free:
                self.source.spend(self.at)
            one()

    def item(self, values: Any, field: Field, parent: MessageType, depth: int) -> None:
        if field.kind in FLOATS:
            self.plain_floats(values, ",")
        values.append(self.value(field, parent, depth, ":"))

    def plain_floats(self, values: array.array[float], separator: str) -> None:
        """All plain numbers here but the last: a faster way through the thousands of a blob."""
        while run := _numbers(separator).match(self.text, self.at):
            values.extend(map(float, _PLAIN.findall(run.group())))
            self.at = run.end()

    def value(self, field: Field, parent: MessageType, depth: int, colon: str = "") -> Any:
        colon = colon or self.accept(":")
        if field.kind == "message":
            at = self.at
            opener = self.accept("{<")
            if not opener:
                self.fail(f"{field.name} is a group of fields and needs {{ here")
            inner = Message(field.message, self.source, at)
            self.fields(inner, _CLOSER[opener], depth + 1)
            return inner
        if not colon:
            self.fail(f"{field.name} needs a : and a value here")
        if field.name == "type" and parent.name == "LayerParameter":
            return self.layer_type(field)
        return getattr(self, _READER[field.kind])(field)

    def unknown(self, into: Message, name: str, at: int, depth: int) -> None:
        """Step over a field that the schema does not have, keeping its text."""
        start = self.at
        self.pass_over(name, depth)
        words = self.text[start : min(self.at, start + 1000)]
        self.source.spend_text(at, len(words))
        into.unknown.append((name, words.strip()))
        what = f"unknown field {quoted(name)} of {into.kind.name}"
        self.source.ignore(at, what, name, into.kind.fields)

    def pass_over(self, name: str, depth: int) -> None:
        """Step over one value of any form."""
        colon = self.accept(":")
        if self.text[self.at : self.at + 1] in ("{", "<"):
            self.pass_over_group(depth + 1)
        elif self.accept("["):
            self.items(lambda: self.pass_over_item(depth))
        elif colon:
            self.pass_over_item(depth)
        else:
            self.fail(f"after {quoted(name)} a : or {{ should stand")

    def pass_over_group(self, depth: int) -> None:
        opened = self.at
        if depth > MAX_DEPTH:
            raise LimitError(f"{self.source.place(opened)}: nested deeper than {MAX_DEPTH}")
        closer = _CLOSER[self.accept("{<")]
        while not self.accept(closer):
            if self.at >= len(self.text):
                self.unclosed(closer, opened)
            self.source.spend(self.at)
            self.pass_over(self.name(closer), depth)
            self.accept(";,")

    def pass_over_item(self, depth: int) -> None:
        """Step over one group, number, name or string."""
        if self.text[self.at : self.at + 1] in ("{", "<"):
            self.pass_over_group(depth + 1)
        elif self.take(_STRING) is not None:
            while self.take(_STRING) is not None:
                pass
        else:
            self.accept("-")
            if self.take(_NUMBER) is None and self.take(_NAME) is None:
                self.fail("a value should stand here")

    # --- values ---

    def number_word(self, field: Field, what: str) -> tuple[str, int]:
        at = self.at
        sign = self.accept("-")
        word = self.take(_NUMBER) or self.take(_NAME)
        if word is None:
            self.fail(f"{field.name} needs {what} here")
        if self.at < len(self.text) and self.text[self.at] in '"$' and word[-1:].isalnum():
            self.fail(f"{field.name} needs {what} here")
        return sign + word, at

    def integer(self, field: Field) -> int:
        word, at = self.number_word(field, "a whole number")
        number = _whole(word)
        if number is None:
            hint = "; is this a template? fill in its names first" if _NAME.fullmatch(word) else ""
            what = f"{field.name} needs a whole number, found {quoted(word)}{hint}"
            raise self.source.fail(at, what)
        low, high = _RANGE[field.kind]
        if not low <= number <= high:
            raise self.source.fail(at, f"{field.name}: {number} does not fit ({low} to {high})")
        return number

    def real(self, field: Field) -> float:
        word, at = self.number_word(field, "a number")
        digits = word.removeprefix("-")
        if digits[0] == "0" and digits[1:2].isdigit():
            raise self.source.fail(
                at, f"{field.name}: {quoted(word)} begins with 0, which means octal; leave it out"
            )
        if found := _NOT_FINITE.fullmatch(word):
            return float(word[: found.end(1)])
        whole = _whole(word) if digits[:2].lower() == "0x" else None
        if whole is not None:
            return float(whole)
        try:
            return float(word.rstrip("fF"))
        except ValueError:
            what = f"{field.name} needs a number, found {quoted(word)}"
            raise self.source.fail(at, what) from None

    def boolean(self, field: Field) -> bool:
        word, at = self.number_word(field, "true or false")
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        raise self.source.fail(at, f"{field.name} needs true or false, found {quoted(word)}")

    def enum(self, field: Field) -> str:
        """The value's name; a name or number that is not in the enum is kept and noted."""
        at = self.at
        if self.text[self.at : self.at + 1] in ("'", '"'):
            word = self.string(field)  # forks write engine: "MKL2017"
        else:
            word, _ = self.number_word(field, "a name")
        number = _whole(word)
        if number is not None:
            word = field.enum.names.get(number, str(number))
        if word not in field.enum.numbers and field.type_name != "V1LayerType":
            self.source.ignore_value(at, field, word)
        return word

    def layer_type(self, field: Field) -> str:
        """A layer's type: a string; a bare name of the older definitions is accepted too."""
        if self.text[self.at : self.at + 1] in ("'", '"'):
            return self.string(field)
        word = self.take(_NAME)
        if word is None:
            self.fail('type needs a string here, like "Convolution"')
        return word

    def string(self, field: Field) -> str:
        at = self.at
        return decode_text(self.raw_string(field), self.source, at)

    def raw_string(self, field: Field) -> bytes:
        """One string, or several that stand side by side."""
        parts = []
        at = self.at
        while (word := self.take(_STRING)) is not None:
            self.source.spend(at)
            self.source.spend_text(at, len(word))
            inner = word[1:-1]
            parts.append(self.unescape(inner, at + 1) if "\\" in inner else inner.encode("latin-1"))
            at = self.at
        if not parts:
            if self.text[at : at + 1] in ("'", '"'):
                raise self.source.fail(at, f"the string of {field.name} is not closed on its line")
            self.fail(f"{field.name} needs a string in quotes here")
        return b"".join(parts)

    def unescape(self, inner: str, at: int) -> bytes:
        def one(found: re.Match[str]) -> str:
            octal, hexadecimal, halves, four, eight, letter = found.groups()
            if octal is not None:
                return chr(int(octal, 8) & 255)
            if hexadecimal is not None:
                return chr(int(hexadecimal, 16))
            if letter in _LETTERS:
                return chr(_LETTERS[letter])
            if letter is not None:
                raise self.source.fail(at + found.start(), _wrong_escape(letter))
            point = _joined(halves) if halves else int(four or eight, 16)
            if point > 0x10FFFF or 0xD800 <= point < 0xE000:
                raise self.source.fail(at + found.start(), f"{found.group()} is no character")
            return chr(point).encode("utf-8").decode("latin-1")

        return _ESCAPE.sub(one, inner).encode("latin-1")


@cache
def _numbers(separator: str) -> re.Pattern[str]:
    """Plain numbers with a separator after each, a few thousand at a time."""
    return re.compile(rf"(?:{_PLAIN.pattern}{_BLANK}*+{separator}{_BLANK}*+){{1,4096}}+")


def _whole(word: str) -> int | None:
    """A whole number as protobuf writes them: decimal, hexadecimal (0x1F) or octal (017)."""
    digits = word.removeprefix("-")
    if len(digits) > 24 or not digits[:1].isdigit():
        return None
    base = 16 if digits[:2].lower() == "0x" else 8 if digits[0] == "0" else 10
    try:
        number = int(digits, base)
    except ValueError:
        return None
    return -number if word[0] == "-" else number


def _joined(halves: str) -> int:
    r"""The character that \ud83d\ude00 means: UTF-16's way to write the rarer ones."""
    high, low = (int(half, 16) for half in halves.split("\\u"))
    return 0x10000 + (high - 0xD800) * 0x400 + low - 0xDC00


def _wrong_escape(letter: str) -> str:
    if letter in "uU":
        digits = 4 if letter == "u" else 8
        return f"\\{letter} needs {digits} hexadecimal digits; write \\\\ for a backslash"
    shown = letter if letter.isascii() and letter.isprintable() else ""
    return f"\\{shown} is no escape; write \\\\ for a backslash"
