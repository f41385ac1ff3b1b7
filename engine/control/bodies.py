"""What a request says, against the type that it must have: exact errors that name the key and what is allowed.

The value itself is never repeated: it may be a password.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from functools import cache
from http import HTTPStatus
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from starlette.requests import Request

from engine.control.answers import ProblemError
from engine.control.commands import CommandFailed
from engine.control.operations import Media

BODY_TIMEOUT_S = 15.0
"""A body that is not there after this time will not be waited for."""
_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_QUOTED = re.compile(r"`([^`]*)`")


def must(words: str, **meta: Any) -> msgspec.Meta:
    """Bounds and the words that an error says of a key: `key must be <words>`."""
    return msgspec.Meta(description=words, extra={"must": words}, **meta)


async def read_body(
    request: Request, body: type[msgspec.Struct] | Media, most_bytes: int, optional: bool
) -> Any:
    """The body as what the operation asks for. Raises `CommandFailed`."""
    wanted = body.media_type if isinstance(body, Media) else "application/json"
    sent = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if not sent and optional and isinstance(body, type):
        if await _bytes_of(request, most_bytes):
            raise CommandFailed(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the body must be {wanted}")
        return decoded(b"{}", body)
    if sent != wanted:
        raise CommandFailed(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the body must be {wanted}")
    content = await _bytes_of(request, most_bytes)
    if isinstance(body, Media):
        return content
    return decoded(content or b"{}" if optional else content, body)


async def _bytes_of(request: Request, most_bytes: int) -> bytes:
    too_large = CommandFailed(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body may have {most_bytes} bytes")
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > most_bytes:
        raise too_large
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for part in request.stream():
                parts.append(part)
                size += len(part)
                if size > most_bytes:
                    raise too_large
    except TimeoutError:
        raise CommandFailed(
            HTTPStatus.REQUEST_TIMEOUT, f"the body was not there within {BODY_TIMEOUT_S:g} s"
        ) from None
    return b"".join(parts)


def decoded(content: bytes, kind: type[msgspec.Struct]) -> Any:
    """JSON as a `kind`. Raises `CommandFailed`: 400 where it is no JSON object, 422 where it is not of this kind."""
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), kind) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CommandFailed(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}") from None


def converted(pairs: Sequence[tuple[str, str]], kind: type[msgspec.Struct]) -> Any:
    """Parameters of a query as a `kind`. Raises `CommandFailed`."""
    values: dict[str, Any] = {}
    hints = _hints(kind)
    for key, text in pairs:
        if key not in hints:
            raise _unknown(key, kind, parameter=True)
        if _is_repeated(hints[key]):
            values.setdefault(key, []).append(text)
        elif key in values:
            raise CommandFailed(
                422, f"{key} may be given once", [ProblemError("may be given once", parameter=key)]
            )
        else:
            values[key] = text
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), kind, parameter=True) from None


def _refusal(text: str, kind: type[msgspec.Struct], *, parameter: bool = False) -> CommandFailed:
    match = _PLACE.match(text)
    what, path = (match["what"], match["path"] or "") if match else (text, "")
    steps = [name or index for name, index in _STEP.findall(path)]
    quoted = _QUOTED.findall(what)
    if what.startswith("Object contains unknown field") and quoted and not steps:
        return _unknown(quoted[0], kind, parameter=parameter)
    if what.startswith("Object missing required field") and quoted and not steps:
        return _wrong(kind, quoted[:1], "is missing: it must be", "", parameter)
    if not steps:
        words = "the body must be a JSON object"
        return CommandFailed(HTTPStatus.BAD_REQUEST, words, [ProblemError(words, pointer="#")])
    return _wrong(kind, steps, "must be", what, parameter)


def _wrong(
    kind: type[msgspec.Struct], steps: Sequence[str], verb: str, what: str, parameter: bool
) -> CommandFailed:
    key = steps[0]
    hint = _hints(kind).get(key)
    words = _words(hint)
    precise = f" ({what[0].lower()}{what[1:]} at {_place(steps)})" if what and len(steps) > 1 else ""
    detail = f"{key} {verb} {words}{precise}"
    allowed = _choices(hint) if len(steps) == 1 else _choices(_element(hint)) if len(steps) == 2 else None
    if parameter:
        error = ProblemError(detail, parameter=key, allowed=allowed)
    else:
        error = ProblemError(detail, pointer="#/" + "/".join(map(_escaped, steps)), allowed=allowed)
    return CommandFailed(HTTPStatus.UNPROCESSABLE_ENTITY, detail, [error])


def _unknown(key: str, kind: type[msgspec.Struct], *, parameter: bool) -> CommandFailed:
    known = sorted(_hints(kind))
    shown, what = key[:60], "parameter" if parameter else "key"
    detail = f"unknown {what} {shown!r}; there are: {', '.join(known) or 'none'}"
    error = (
        ProblemError(detail, parameter=shown, allowed=known)
        if parameter
        else ProblemError(detail, pointer=f"#/{_escaped(shown)}", allowed=known)
    )
    return CommandFailed(HTTPStatus.UNPROCESSABLE_ENTITY, detail, [error])


def _place(steps: Sequence[str]) -> str:
    return steps[0] + "".join(
        f"[{step}]" if step.isdecimal() or step == "..." else f".{step}" for step in steps[1:]
    )


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")


@cache
def _hints(kind: type[msgspec.Struct]) -> Mapping[str, Any]:
    """Types by key as it is sent."""
    hints = get_type_hints(kind, include_extras=True)
    return {field.encode_name: hints[field.name] for field in msgspec.structs.fields(kind)}


def _parts(hint: Any) -> list[Any]:
    """The alternatives of a type, annotations included."""
    if get_origin(hint) is Annotated:
        inner, *metas = get_args(hint)
        return [*metas, *_parts(inner)]
    if get_origin(hint) is None or get_origin(hint) in (Literal, list, tuple, dict):
        return [hint]
    return [part for each in get_args(hint) for part in _parts(each)]


def _words(hint: Any) -> str:
    for part in _parts(hint):
        if isinstance(part, msgspec.Meta) and part.extra and "must" in part.extra:
            return str(part.extra["must"])
    choices = _choices(hint)
    if choices is not None:
        return "one of " + ", ".join("null" if each is None else str(each) for each in choices)
    if (element := _element(hint)) is not None:
        return "any of: " + _words(element).removeprefix("one of ")
    names = [_TYPE_WORDS[part] for part in _parts(hint) if isinstance(part, type) and part in _TYPE_WORDS]
    return " or ".join(names) or "of another form; see /openapi.json"


_TYPE_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    type(None): "null",
}


def _element(hint: Any) -> Any:
    """What is in a list, None for other types."""
    lists = [part for part in _parts(hint) if get_origin(part) is list]
    return get_args(lists[0])[0] if lists else None


def _choices(hint: Any) -> list[Any] | None:
    """The values of a `Literal`, None for other types."""
    literals = [part for part in _parts(hint) if get_origin(part) is Literal]
    if not literals:
        return None
    values = [value for literal in literals for value in get_args(literal)]
    return [*values, None] if type(None) in _parts(hint) else values


def _is_repeated(hint: Any) -> bool:
    return any(part is list or get_origin(part) in (list, tuple) for part in _parts(hint))
