"""The Triton kernels on the CPU: the tests of this folder once more, in a process of their own.

Triton decides when it is imported whether it interprets, hence the process.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernels.twins import INTERPRETED

FOLDER = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(INTERPRETED, reason="this is that process")
def test_the_triton_kernels_pass_the_same_tests_in_the_interpreter() -> None:
    pytest.importorskip("triton", reason="Triton is missing: pip install camring[dev]", exc_type=ImportError)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", "interpreted", str(FOLDER)],
        cwd=FOLDER.parent.parent,
        env=os.environ | {"TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    assert " passed" in run.stdout
