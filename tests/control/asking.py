"""Asking an application without a socket: one request, as whom, with what."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from starlette.applications import Starlette

from engine.control.app import create_app
from engine.control.roles import Role
from engine.control.security import Security
from engine.control.tokens import Token, Tokens, digest_of
from tests.control.workers import EngineInMemory

BASE = "http://127.0.0.1:8080"
SECRETS = {role: f"{role.word}-0123456789-abcdef" for role in (Role.VIEWER, Role.OPERATOR, Role.ADMIN)}
TOKENS = Tokens(tuple(Token(role, role.word, digest_of(secret)) for role, secret in SECRETS.items()))


class ManualClock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Site:
    """An application over an engine in memory, and a client of it."""

    def __init__(self, security: Security | None = None) -> None:
        self.engine = EngineInMemory()
        self.clock = ManualClock()
        self.app: Starlette = create_app(
            lambda: self.engine.status, self.engine.commands, security=security, now_s=self.clock
        )

    def ask(
        self, method: str, path: str, role: Role | None = None, address: str = "192.0.2.7", **more: Any
    ) -> httpx.Response:
        """One request with the token of a role, or none, from an address."""
        headers = {**more.pop("headers", {})}
        if role is not None and role is not Role.ANYONE:
            headers["Authorization"] = f"Bearer {SECRETS[role]}"

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(address, 4711))
            async with httpx.AsyncClient(transport=transport, base_url=more.pop("base_url", BASE)) as client:
                return await client.request(method, path, headers=headers, **more)

        return asyncio.run(ask())
