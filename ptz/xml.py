"""XML as cameras speak it: a safe reader by local names, and a small writer.

What comes from a camera is not trusted: no document type, no entities of its own, no processing instructions, limits
for size, depth and count. Namespaces are noted, not asked for: real cameras use prefixes that they never declare.
Knows neither ISAPI nor SOAP.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat  # only behind the checks of `parse`

from engine.errors import PtzProtocolError, PtzRefused

MOST_BYTES = 1 << 20
MOST_DEPTH = 64
MOST_ELEMENTS = 20_000

CHARSETS = frozenset(
    codecs.lookup(name).name
    for name in (
        "utf-8", "ascii", "iso-8859-1", "iso-8859-2", "iso-8859-5", "iso-8859-15", "cp1250", "cp1251", "cp1252",
        "gb2312", "gbk", "gb18030", "big5", "euc-kr", "shift_jis", "utf-16", "utf-16-le", "utf-16-be",
    )
)  # fmt: skip
"""Charsets that are read. Python knows more, some of which hide what they mean (UTF-7)."""

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
DECLARATION = re.compile(r"""<\?xml\s[^<>]*?\?>""")
DECLARED_CHARSET = re.compile(rb"""<\?xml\s[^<>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
MARKUP_DECLARATION = re.compile(r"<!\s*(doctype|entity|element|attlist|notation)", re.IGNORECASE)
TITLE = re.compile(r"<title[^<>]*>([^<]{1,60})", re.IGNORECASE)
UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(slots=True)
class Element:
    """One element of a document that was read.

    name        without its prefix
    namespace   "" where it has none or its prefix was never declared
    attributes  by name without prefix; declarations of namespaces are not among them
    text        its own characters, without the blanks around them
    children    in order
    where       what was read, for messages
    """

    name: str
    namespace: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    text: str = ""
    children: list[Element] = field(default_factory=list)
    where: str = ""

    def __iter__(self) -> Iterator[Element]:
        return iter(self.children)

    def find(self, path: str) -> Element | None:
        """The first element on this path of names below this one ("Position/PanTilt"), in any namespace."""
        name, _, rest = path.partition("/")
        for child in self.children:
            if child.name == name:
                found = child.find(rest) if rest else child
                if found is not None:
                    return found
        return None

    def need(self, path: str) -> Element:
        """The same; raises `PtzProtocolError` where there is none."""
        found = self.find(path)
        if found is None:
            raise PtzProtocolError(f"{self.where}: no <{path}> in <{self.name}>")
        return found

    def all(self, name: str) -> list[Element]:
        """The children of this name."""
        return [child for child in self.children if child.name == name]

    def walk(self) -> Iterator[Element]:
        """This element and all below it, in the order of the document."""
        waiting = [self]
        while waiting:
            element = waiting.pop()
            yield element
            waiting.extend(reversed(element.children))

    def first(self, name: str) -> Element | None:
        """The first element of this name at any depth, this one included."""
        return next((element for element in self.walk() if element.name == name), None)

    def text_of(self, path: str, default: str | None = None) -> str:
        """Its text; `default` where it is missing or empty. Raises `PtzProtocolError` without a default."""
        found = self.find(path)
        if found is not None and found.text:
            return found.text
        if default is not None:
            return default
        raise PtzProtocolError(f"{self.where}: no <{path}> in <{self.name}>")

    def int_of(self, path: str, default: int | None = None) -> int:
        """Its whole number. A default stands for a missing element, never for one that is no number."""
        if default is not None and not self.text_of(path, ""):
            return default
        text = self.text_of(path)
        if re.fullmatch(r"[+-]?[0-9]{1,18}", text, re.ASCII):
            return int(text)
        raise PtzProtocolError(f"{self.where}: <{path}> is no whole number: {text[:40]!r}")

    def float_of(self, path: str, default: float | None = None) -> float:
        """Its number, finite. A default stands for a missing element, never for one that is no number."""
        if default is not None and not self.text_of(path, ""):
            return default
        return number(self.text_of(path), f"{self.where}: <{path}>")

    def bool_of(self, path: str, default: bool | None = None) -> bool:
        """Its truth: true, 1, on or false, 0, off. A default stands for a missing element only."""
        if default is not None and not self.text_of(path, ""):
            return default
        return truth(self.text_of(path), f"{self.where}: <{path}>")

    def float_attribute(self, name: str, default: float | None = None) -> float:
        """An attribute's number, finite. A default stands for a missing attribute, never for one that is no number."""
        text = self.attributes.get(name, "").strip()
        if text:
            return number(text, f"{self.where}: {name!r} of <{self.name}>")
        if default is not None:
            return default
        raise PtzProtocolError(f"{self.where}: <{self.name}> has no {name!r}")


def number(text: str, where: str) -> float:
    """A finite number; raises `PtzProtocolError` for anything else: words, NaN, infinity."""
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise PtzProtocolError(f"{where} is no number: {text[:40]!r}")
    return value


def truth(text: str, where: str) -> bool:
    """true, 1, on, yes or false, 0, off, no; raises `PtzProtocolError` for anything else."""
    word = text.strip().lower()
    if word in ("true", "1", "on", "yes"):
        return True
    if word in ("false", "0", "off", "no"):
        return False
    raise PtzProtocolError(f"{where} is neither true nor false: {text[:40]!r}")


def parse(body: bytes, where: str, most_bytes: int = MOST_BYTES) -> Element:
    """The root element of a document. `where` opens every message: what was asked, without credentials.

    Raises `PtzProtocolError`, one line: empty, too large, a page for people (HTML), an unknown charset, a document type
    or an entity of its own, a processing instruction, too deep, cut off, not well-formed, or more after its end.
    Blanks and NULs around the document are let pass, and characters that the declared charset does not have.
    """
    if len(body) > most_bytes:
        raise PtzProtocolError(f"{where}: the answer is too large ({len(body)} bytes, at most {most_bytes})")
    text = _decoded(body, where).strip(" \t\r\n\0\ufeff")
    if not text:
        raise PtzProtocolError(f"{where}: the answer is empty, XML was expected")
    _refuse_pages_and_declarations(text, where)
    declaration = DECLARATION.match(text)
    return _Reader(where, len(body)).read(text[declaration.end() :] if declaration else text)


def _decoded(body: bytes, where: str) -> str:
    for mark, charset in BYTE_ORDER_MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(charset, "replace")
    if body[:4] in (b"<\0?\0", b"<\0s\0", b"\0<\0?"):
        return body.decode("utf-16-be" if body[0] == 0 else "utf-16-le", "replace")
    declared = DECLARED_CHARSET.match(body.lstrip()[:300])
    name = declared[1].decode() if declared else "utf-8"
    try:
        charset = codecs.lookup(name).name
    except LookupError:
        charset = ""
    if charset not in CHARSETS:
        raise PtzProtocolError(f"{where}: the answer is in a charset that is not read: {name!r}")
    if charset.startswith("utf-16"):  # its declaration could be read byte by byte: it is not
        charset = "utf-8"
    return body.decode(charset, "replace")


def _refuse_pages_and_declarations(text: str, where: str) -> None:
    start = text[:2000].lower()
    if start.startswith("<!doctype html") or re.search(r"<html[\s>]", start):
        title = TITLE.search(text[:20_000])
        name = f" ({' '.join(title[1].split())!r})" if title and title[1].strip() else ""
        raise PtzProtocolError(
            f"{where}: the answer is an HTML page{name}, not XML: is this the camera's address?"
        )
    found = MARKUP_DECLARATION.search(text)
    if found:
        raise PtzProtocolError(
            f"{where}: the answer has a <!{found[1].upper()}>, which is refused as dangerous"
        )
    if not text.startswith("<"):
        raise PtzProtocolError(f"{where}: the answer is not XML: {text[:40]!r}")


class _Reader:
    """Builds elements from expat's events, with limits, and resolves prefixes itself."""

    def __init__(self, where: str, size: int) -> None:
        self._where = where
        self._size = size
        self._root: Element | None = None
        self._open: list[Element] = []
        self._texts: list[list[str]] = []
        self._scopes: list[dict[str, str]] = [{"xml": "http://www.w3.org/XML/1998/namespace"}]
        self._count = 0

    def read(self, text: str) -> Element:
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = self._refuse("document type")
        parser.EntityDeclHandler = self._refuse("entity")
        parser.ProcessingInstructionHandler = self._refuse("processing instruction")
        try:
            parser.Parse(text.encode("utf-8", "replace"), True)
        except expat.ExpatError as error:
            raise PtzProtocolError(self._reason(error)) from None
        if self._root is None:
            raise PtzProtocolError(f"{self._where}: the answer holds no element")
        return self._root

    def _reason(self, error: expat.ExpatError) -> str:
        what = expat.ErrorString(error.code)
        if self._root is not None and not self._open:
            return f"{self._where}: more follows after </{self._root.name}>"
        if what in (expat.errors.XML_ERROR_NO_ELEMENTS, expat.errors.XML_ERROR_UNCLOSED_TOKEN) or (
            what == expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION
        ):
            return f"{self._where}: the answer is cut off after {self._size} bytes"
        return f"{self._where}: the answer is no XML: {what}, line {error.lineno}, column {error.offset}"

    def _refuse(self, what: str) -> Callable[..., None]:
        def refuse(*_: object) -> None:
            raise PtzProtocolError(f"{self._where}: the answer has a {what}, which is refused as dangerous")

        return refuse

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > MOST_ELEMENTS or len(self._open) >= MOST_DEPTH:
            raise PtzProtocolError(f"{self._where}: the answer is nested too deeply or has too many elements")
        scope = self._scopes[-1]
        declared = {
            key.partition(":")[2]: value
            for key, value in attributes.items()
            if key == "xmlns" or key.startswith("xmlns:")
        }
        if declared:
            scope = {**scope, **declared}
        self._scopes.append(scope)
        prefix, _, name = tag.rpartition(":")
        element = Element(name, scope.get(prefix, ""), _plain(attributes), where=self._where)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._root = element
        self._open.append(element)
        self._texts.append([])

    def _end(self, _tag: str) -> None:
        self._scopes.pop()
        self._open.pop().text = "".join(self._texts.pop()).strip()

    def _characters(self, text: str) -> None:
        self._texts[-1].append(text)


def _plain(attributes: dict[str, str]) -> dict[str, str]:
    """By local names; one without a prefix wins."""
    named = {
        key: value for key, value in attributes.items() if key != "xmlns" and not key.startswith("xmlns:")
    }
    prefixed = {key.rpartition(":")[2]: value for key, value in named.items() if ":" in key}
    return prefixed | {key: value for key, value in named.items() if ":" not in key}


class Markup(str):
    """Text that is XML already; any other text is escaped when it is put into an element."""

    __slots__ = ()


Value = str | int | float | bool


def escaped(value: Value) -> str:
    """A value as characters of XML. Raises `PtzRefused` for what XML cannot hold: control characters, NaN."""
    if isinstance(value, Markup):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            raise PtzRefused(f"{value} cannot be sent to a camera")
        return f"{round(value, 6) + 0.0:.6f}".rstrip("0").rstrip(".")
    text = str(value)
    if UNWRITABLE.search(text):
        raise PtzRefused(f"a text with control characters cannot be sent to a camera: {text[:40]!r}")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def element(name: str, *content: Value, attributes: Mapping[str, Value] | None = None) -> Markup:
    """One element: `element("pan", 40)`, `element("PTZData", element("pan", 40), attributes={"version": "2.0"})`."""
    words = "".join(f' {key}="{escaped(value)}"' for key, value in (attributes or {}).items())
    inside = "".join(escaped(part) for part in content)
    return Markup(f"<{name}{words}>{inside}</{name}>" if inside else f"<{name}{words}/>")


def document(root: Markup) -> bytes:
    """A whole document in UTF-8, with its declaration."""
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + root.encode("utf-8")
