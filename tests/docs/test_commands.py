"""Every command of the documents: right to the last flag, as its own parser and the loader of settings see it.

Those that are really run are in test_real_commands.py, requests of `curl` in test_curl.py. `pytest -rP` of
`test_what_is_not_run` prints what cannot be run here, and why.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.reading import PROGRAMS, Command, commands, program_of
from tests.docs.trying import NOT_HERE, assignments, try_step, variables, without_dots


@pytest.mark.parametrize("command", commands(), ids=lambda command: command.place)
def test_a_command_is_right(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for step in command.steps:
        for name, value in (variables(without_dots(step)) | assignments(step)).items():
            monkeypatch.setenv(name, value)
        try_step(step, tmp_path)


def test_there_are_commands_of_every_program_of_ours() -> None:
    used = {program_of(" ".join(step)) for command in commands() for step in command.steps}
    assert {program for program in PROGRAMS if program.startswith("engine-")} <= used


def test_what_is_not_run() -> None:
    """Lists them; each has a reason."""
    for command in commands():
        for step in command.steps:
            program = program_of(" ".join(step)).removeprefix("./")
            if program in NOT_HERE:
                print(f"{command.place}: {program}: {NOT_HERE[program]}")
    assert set(NOT_HERE) <= PROGRAMS
