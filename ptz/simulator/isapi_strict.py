"""How strictly an ISAPI camera reads what it is told: some want a namespace, a declaration, an order."""

from __future__ import annotations

from engine.errors import PtzProtocolError
from ptz.http import Request
from ptz.simulator.rules import Has, Refused
from ptz.xml import Element, parse

NAMESPACES = frozenset(
    f"http://www.{name}/{version}/XMLSchema"
    for name in ("hikvision.com", "isapi.org", "std-cgi.com")
    for version in ("ver10", "ver20")
)

ORDERS = {
    "PTZData": ("pan", "tilt", "zoom", "Momentary", "Relative", "AbsoluteHigh"),
    "AbsoluteHigh": ("elevation", "azimuth", "absoluteZoom"),
    "PTZAbsoluteEx": (
        "elevation", "azimuth", "absoluteZoom", "focus", "focalLen", "horizontalSpeed", "verticalSpeed", "zoomType",
    ),
    "PTZPreset": ("enabled", "id", "presetName", "AbsoluteHigh"),
}  # fmt: skip
"""Order of elements, as in the samples of the makers."""

MOST_BODY_BYTES = 65_536


def checked_body(request: Request, now_s: float, has: Has) -> tuple[Element, bool]:
    """The document in a request's body, and whether the camera will say OK to it and do nothing.

    Raises `Refused` where the body is none, or breaks a rule that holds now.
    """
    path = request.path
    if has("length_required", now_s, path) and request.header("Content-Length") is None:
        raise Refused(400, 5, "badXmlFormat")
    content_type = (request.header("Content-Type") or "").partition(";")[0].strip().lower()
    if has("content_type_required", now_s, path) and content_type != "application/xml":
        raise Refused(400, 5, "badXmlFormat")
    if has("declaration_required", now_s, path) and not request.body.startswith(b"<?xml"):
        raise Refused(400, 5, "badXmlFormat")
    if not request.body:
        raise Refused(400, 6, "badXmlContent")
    try:
        root = parse(request.body, path, MOST_BODY_BYTES)
    except PtzProtocolError as error:
        raise Refused(400, 5, "badXmlFormat") from error
    is_named = root.namespace in NAMESPACES and "version" in root.attributes
    if not is_named and has("namespace_required", now_s, path):
        raise Refused(400, 6, "badXmlContent")
    if has("order_required", now_s, path) and not all(is_in_order(element) for element in root.walk()):
        raise Refused(400, 6, "badXmlContent")
    return root, not is_named and has("namespace_ignored", now_s, path) is not None


def is_in_order(element: Element) -> bool:
    """Whether the children come in the order of the samples; others may be anywhere."""
    order = ORDERS.get(element.name, ())
    places = [order.index(child.name) for child in element if child.name in order]
    return places == sorted(places)
