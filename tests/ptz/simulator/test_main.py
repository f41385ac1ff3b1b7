"""`python -m ptz.simulator`: one line when ready, an end on SIGTERM, one line for a wrong flag."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from ptz.simulator.__main__ import main

ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def running(*flags: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The simulator as a process, and what its READY line tells."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ptz.simulator", *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=ROOT, env=os.environ | environment,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        assert words[:1] == ["READY"], process.communicate(timeout=5)
        yield process, dict(word.split("=", 1) for word in words[2:])
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


def test_it_serves_both_faces_and_ends_on_sigterm() -> None:
    flags = ("--profile", "hik-8425ix", "--seed", "7", "--control", "--password-env", "PTZ_PASSWORD",
             "--fault", "clock_jump:3600")  # fmt: skip
    with running(*flags, PTZ_PASSWORD="p a:s@s/wörd") as (process, urls):
        auth = httpx.DigestAuth("admin", "p a:s@s/wörd")
        with httpx.Client(auth=auth, trust_env=False, timeout=5) as web:
            assert "DS-2DF8425IX" in web.get(f"{urls['isapi']}/System/deviceInfo").text
        assert httpx.get(urls["onvif"], trust_env=False).status_code == 405
        state = json.loads(httpx.get(urls["control"], trust_env=False).text)
        assert (state["profile"], state["logins"]["refused"]) == ("hik-8425ix", 0)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--profile", "hik-8425i"], "did you mean 'hik-8425ix'?"),
        (["--fault", "bussy"], "did you mean 'busy'?"),
        (["--fault", "busy:many"], "is no number"),
        (["--fault", "slow:nan"], "is no number"),
        (["--rule", "busy"], "no such rule"),
        (["--password-env", "PTZ_NOT_SET"], "is not set"),
        (["--http", "70000"], "from 0 to 65535"),
        (["--lock-s", "-1"], "--lock-s"),
    ],
)
def test_a_wrong_flag_is_one_line(
    flags: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PTZ_NOT_SET", raising=False)
    assert main(flags) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert words in err


def test_an_address_that_is_taken_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["--http", str(taken.getsockname()[1])]) == 1
    _, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert "--http 127.0.0.1:" in err


def test_help_names_the_profiles(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "encoder-mh6171" in capsys.readouterr().out
