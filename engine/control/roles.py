"""Who may do what: four roles, each of which may do what those below it may."""

from __future__ import annotations

from enum import IntEnum


class Role(IntEnum):
    """What an operation asks for, and what a client has.

    ANYONE    no login: pages, the login itself, whether the engine lives
    VIEWER    read and watch
    OPERATOR  also prompts, modes, rates, heads of cameras, start and stop
    ADMIN     everything: also which cameras there are, what is remembered, the configuration
    """

    ANYONE = 0
    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """As it stands in files, answers and the OpenAPI document."""
        return self.name.lower()


LOGIN_ROLES = tuple(role.word for role in Role if role is not Role.ANYONE)
"""Roles that a token may have."""


def role_of(word: str) -> Role | None:
    """The role of a word, None for a word that names none that a token may have."""
    return Role[word.upper()] if word in LOGIN_ROLES else None
