"""XML of cameras: what is read, what is refused and in which words, and what is written."""

from __future__ import annotations

import codecs
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import PtzError, PtzProtocolError, PtzRefused
from ptz.xml import Markup, document, element, parse

STATUS = b"""<?xml version="1.0" encoding="UTF-8"?>
<PTZStatus version="2.0" xmlns="http://www.hikvision.com/ver20/XMLSchema">
  <AbsoluteHigh><elevation> -182 </elevation><azimuth>3202</azimuth><absoluteZoom/></AbsoluteHigh>
  <ok>true</ok><speed>0.25</speed>
</PTZStatus>"""


def test_elements_are_found_by_local_names() -> None:
    root = parse(STATUS, "camera")
    assert root.name == "PTZStatus" and root.namespace == "http://www.hikvision.com/ver20/XMLSchema"
    assert root.attributes == {"version": "2.0"}
    assert root.int_of("AbsoluteHigh/elevation") == -182
    assert root.float_of("speed") == 0.25
    assert root.bool_of("ok") is True
    assert root.text_of("nothing", "usual") == "usual"
    assert [child.name for child in root] == ["AbsoluteHigh", "ok", "speed"]
    found = root.first("azimuth")
    assert found is not None and found.text == "3202"


def test_a_default_stands_for_what_is_missing_and_not_for_what_is_wrong() -> None:
    root = parse(
        b"<a><empty/><word>fast</word><nan>NaN</nan><big>1e999</big><far>\xd9\xa1</far></a>", "camera"
    )
    assert root.int_of("empty", 7) == 7 and root.float_of("missing", 0.5) == 0.5
    for path in ("word", "nan", "big", "far"):
        with pytest.raises(PtzProtocolError, match=f"camera: <{path}> is no "):
            root.float_of(path, 1.0)
        with pytest.raises(PtzProtocolError, match=f"camera: <{path}> is no whole number"):
            root.int_of(path, 1)
    with pytest.raises(PtzProtocolError, match="neither true nor false: 'fast'"):
        root.bool_of("word", True)
    with pytest.raises(PtzProtocolError, match="no <missing/thing> in <a>"):
        root.need("missing/thing")


def test_prefixes_that_were_never_declared_are_read() -> None:
    """A device from PyPI answers so."""
    root = parse(b'<s:E xmlns:s="urn:s"><ptz:Status tt:x="1" x="2"/></s:E>', "camera")
    assert root.namespace == "urn:s"
    assert root.children[0].name == "Status" and root.children[0].namespace == ""
    assert root.children[0].float_attribute("x") == 2


@pytest.mark.parametrize(
    "body",
    [
        codecs.BOM_UTF8 + "<a><b>Überwachung</b></a>".encode(),
        codecs.BOM_UTF16_LE + "<a><b>Überwachung</b></a>".encode("utf-16-le"),
        "<?xml version='1.0' encoding='UTF-16'?><a><b>Überwachung</b></a>".encode("utf-16-be"),
        '<?xml version="1.0" encoding="ISO-8859-1"?><a><b>Überwachung</b></a>'.encode("latin-1"),
        '<?xml version="1.0" encoding="utf-16"?><a><b>Überwachung</b></a>'.encode(),
        "\r\n<a><b>Überwachung</b></a>\n\0\0".encode(),
    ],
    ids=["bom", "utf16-bom", "utf16", "latin1", "declared-wrongly", "blanks-and-nuls"],
)
def test_charsets(body: bytes) -> None:
    assert parse(body, "camera").text_of("b") == "Überwachung"


def test_characters_that_the_charset_does_not_have_do_not_lose_the_rest() -> None:
    root = parse(b'<?xml version="1.0" encoding="UTF-8"?><a><name>Caf\xe9</name><x>12</x></a>', "camera")
    assert root.int_of("x") == 12


BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;">]><a>&d;</a>"""


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b"\n \0", "empty"),
        (b"OK", "not XML: 'OK'"),
        (BOMB, "<!DOCTYPE>"),
        (b'<!DOCTYPE a SYSTEM "http://192.0.2.1/x.dtd"><a/>', "<!DOCTYPE>"),
        ("<?xml version='1.0' encoding='utf-16'?>".encode("utf-16"), "cut off"),
        (BOMB.decode().encode("utf-16"), "<!DOCTYPE>"),
        (b"<a><!ENTITY x 'y'></a>", "<!ENTITY>"),
        (b"<a>&x;</a>", "undefined entity"),
        (b"<a><?php echo 1?></a>", "processing instruction"),
        (b"<a><b>", "cut off after 6 bytes"),
        (b"<a><b>1</b", "cut off after 10 bytes"),
        (b"<a><b></a>", "mismatched tag, line 1"),
        (b"<a/><a/>", "more follows after </a>"),
        (b"<a></a>HTTP/1.1 200 OK", "more follows after </a>"),
        (b"<!DOCTYPE html><html><head><title>\n Log  in</title>", r"HTML page \('Log in'\)"),
        (b"<html lang='en'><body>", "HTML page"),
        (b'<?xml version="1.0" encoding="utf-7"?><a/>', "charset that is not read: 'utf-7'"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "charset that is not read: 'klingon'"),
        (b"<a>" * 65 + b"</a>" * 65, "nested too deeply"),
        (b"<a>" + b"<b/>" * 20_001 + b"</a>", "too many elements"),
        (b"<a>" + b"x" * (1 << 20) + b"</a>", "too large"),
        (b"<a x='1' x='2'/>", "duplicate attribute"),
    ],
)
def test_what_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(PtzProtocolError, match=reason) as error:
        parse(body, "192.0.2.7 GET /status")
    message = str(error.value)
    assert message.startswith("192.0.2.7 GET /status: ") and "\n" not in message and len(message) < 200


def test_a_bomb_costs_no_time() -> None:
    """Nothing of it is expanded: it is not handed to the parser at all."""
    begin = time.perf_counter()
    for _ in range(100):
        with pytest.raises(PtzProtocolError):
            parse(BOMB, "camera")
    assert time.perf_counter() - begin < 0.5


@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda text: f"<a>{text}</a>".encode()))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        parse(body, "camera")
    except PtzProtocolError as error:
        assert "\n" not in str(error)


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=50),
    st.floats(-1e4, 1e4),
    st.booleans(),
)
def test_what_is_written_is_read_back(text: str, value: float, flag: bool) -> None:
    body = document(
        element("a", element("t", text), element("v", value), element("f", flag), attributes={"q": text})
    )
    try:
        root = parse(body, "ours")
    except PtzProtocolError:
        pytest.fail(f"{body!r}")
    assert root.text_of("t", "") == text.strip()
    assert root.float_of("v") == pytest.approx(value, abs=1e-6)
    assert root.bool_of("f") is flag


def test_text_is_escaped_and_markup_is_not() -> None:
    assert element("a", '<b>&"') == "<a>&lt;b&gt;&amp;&quot;</a>"
    assert element("a", element("b")) == "<a><b/></a>"
    assert element("a", attributes={"x": '"><evil/>'}) == '<a x="&quot;&gt;&lt;evil/&gt;"/>'
    assert isinstance(element("a"), Markup)


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (-0.0, "0"), (1e-9, "0"), (0.25, "0.25"), (100.0, "100")]
)
def test_numbers_are_written_plainly(value: float, text: str) -> None:
    assert element("a", value) == f"<a>{text}</a>"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "a\0b", "\x1b[31m", "\ud800"])
def test_what_cannot_be_sent_is_refused(value: str | float) -> None:
    with pytest.raises(PtzRefused):
        element("a", value)


def test_refusals_are_errors_of_heads() -> None:
    assert issubclass(PtzProtocolError, PtzError) and issubclass(PtzRefused, PtzError)
