"""What a launcher tells Triton of the arguments."""

import numpy as np
import pytest

from kernels.launch import argument_type


@pytest.mark.parametrize(
    ("argument", "address", "kind"),
    [
        (np.int32(3), None, "i32"),
        (np.float64(0.5), None, "fp64"),
        (np.zeros(4, np.uint8), 4096, "*u8:16"),
        (np.zeros(4, np.float16), 4104, "*fp16"),
        (np.zeros(0, np.int64), 0, "*i64:16"),
    ],
)
def test_types_in_tritons_words(argument: object, address: int | None, kind: str) -> None:
    assert argument_type(argument, address) == kind


def test_a_type_that_no_kernel_takes_is_refused() -> None:
    with pytest.raises(KeyError, match="complex64"):
        argument_type(np.zeros(1, np.complex64), 16)
