"""Requests to ISAPI: documents there and back, with the spelling of bodies that a camera was found to want.

Knows HTTP paths and roots of documents, and nothing of heads.
"""

from __future__ import annotations

from engine.errors import PtzProtocolError, PtzRefused, PtzUnsupported
from ptz.drivers.isapi_answers import NotAllowed, WrongBody, checked
from ptz.http_client import HttpClient
from ptz.xml import Element, Value, document, element

NAMESPACE = "http://www.hikvision.com/ver20/XMLSchema"
NAMESPACES = (NAMESPACE, "http://www.isapi.org/ver20/XMLSchema", "http://www.std-cgi.com/ver20/XMLSchema", "")
"""What the root of a body may want to be, likeliest first."""


class IsapiWire:
    """One camera's ISAPI.

    namespace  of the bodies that are sent
    """

    def __init__(self, client: HttpClient) -> None:
        self.client = client
        self.namespace = NAMESPACE
        self._is_settled = False

    def speak(self, namespace: str) -> bool:
        """Use the camera's own namespace where it is one that bodies are known with; whether that is another one."""
        self._is_settled = False
        self.namespace = namespace if namespace in NAMESPACES and namespace else NAMESPACE
        return self.namespace != NAMESPACE

    async def get(self, path: str) -> Element:
        """Read a document. Raises as `checked` does, and `PtzProtocolError` for an answer without one."""
        found = await self._ask("GET", path)
        if found is None:
            raise PtzProtocolError(f"{self._where('GET', path)}: the answer is empty, XML was expected")
        return found

    async def get_or_none(self, path: str) -> Element | None:
        """The same; None where the camera has no such document, or gives something else in its place."""
        for _ in range(2):
            try:
                return await self.get(path)
            except (PtzUnsupported, PtzRefused):
                return None
            except PtzProtocolError:
                # Cut off once is no reason to do without it for as long as the camera is open.
                continue
        return None

    async def takes(self, path: str) -> bool:
        """Whether something can be put there, asked without putting anything: what is there, but not for reading."""
        try:
            await self.get(path)
        except (NotAllowed, WrongBody):
            return True
        except (PtzUnsupported, PtzRefused, PtzProtocolError):
            return False
        return True

    async def put(self, path: str, root: str, *content: Value, insist: bool = True) -> None:
        """Send a document.

        Where the camera finds it wrong it is sent in other namespaces, once in the life of this; not so where it may be
        wrong for another reason (`insist=False`).
        """
        try:
            await self._put(path, root, content, self.namespace)
        except WrongBody as wrong:
            if self._is_settled or not insist:
                raise
            self._is_settled = True
            if not await self._put_otherwise(path, root, content):
                raise wrong from None
        else:
            self._is_settled = True

    async def _put_otherwise(self, path: str, root: str, content: tuple[Value, ...]) -> bool:
        for namespace in NAMESPACES:
            if namespace != self.namespace:
                try:
                    await self._put(path, root, content, namespace)
                except WrongBody:
                    continue
                self.namespace = namespace
                return True
        return False

    async def put_nothing(self, path: str) -> None:
        """A command without a body."""
        await self._ask("PUT", path)

    async def delete(self, path: str) -> None:
        """Remove something."""
        await self._ask("DELETE", path)

    async def _put(self, path: str, root: str, content: tuple[Value, ...], namespace: str) -> None:
        attributes = {"version": "2.0"} | ({"xmlns": namespace} if namespace else {})
        await self._ask("PUT", path, document(element(root, *content, attributes=attributes)))

    async def _ask(self, method: str, path: str, body: bytes = b"") -> Element | None:
        response = await self.client.request(method, path, body, "application/xml; charset=UTF-8")
        return checked(response, self._where(method, path))

    def _where(self, method: str, path: str) -> str:
        return f"{self.client.label}: {method} {path}"
