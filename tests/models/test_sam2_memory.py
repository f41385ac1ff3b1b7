"""The bank: rows, ages, rounding, eviction. No graphs."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import PromptError
from engine.models.sam2_memory import MemoryBank, from_bfloat16, to_bfloat16
from engine.types import F32, I64

TOKENS = 4
YES, NO = np.array([True]), np.array([False])


def bank_of(capacity: int = 3) -> MemoryBank:
    return MemoryBank(capacity, TOKENS)


def frame(value: float) -> tuple[F32, F32]:
    return np.full((1, TOKENS, 64), value, np.float32), np.full((1, 256), value, np.float32)


def live(bank: MemoryBank, frames: int, key: tuple[str, int] = ("a", 1)) -> I64:
    """An object that has remembered so many frames, number i as the value i; its row."""
    rows = np.array([bank.add(key)[0]])
    for index in range(frames):
        bank.remember(rows, *frame(index), YES if index == 0 else NO)
    return rows


def test_the_conditioning_frame_and_the_last_six_are_recalled_with_their_ages() -> None:
    bank = bank_of()
    recalled = bank.recall(live(bank, 20), padded=True)
    by_value = {
        float(memory[0, 0]): int(tpos)
        for memory, tpos in zip(recalled.memory[0], recalled.memory_tpos[0], strict=True)
    }
    # Frame 20 is next: of the conditioning frame the last row of the table, of a frame of age a row a - 1.
    assert by_value == {0: 6, 14: 5, 15: 4, 16: 3, 17: 2, 18: 1, 19: 0}
    assert recalled.memory_valid.all()
    pointers = {
        float(p[0]): float(t) for p, t in zip(recalled.obj_ptr[0], recalled.obj_ptr_tdiff[0], strict=True)
    }
    assert pointers == {0: 20} | {index: 20 - index for index in range(5, 20)}
    assert recalled.obj_ptr_valid.all()


def test_an_unpadded_recall_has_what_is_valid_and_is_contiguous() -> None:
    bank = bank_of()
    young, old = live(bank, 1, ("a", 1)), live(bank, 3, ("b", 1))
    recalled = bank.recall(np.concatenate([young, old]))
    assert recalled.memory.shape == (2, 3, TOKENS, 64)
    assert recalled.memory.flags.c_contiguous
    assert recalled.memory_valid.tolist() == [[1, 0, 0], [1, 1, 1]]
    assert recalled.obj_ptr_valid.tolist() == [[1, 0, 0], [1, 1, 1]]
    padded = bank.recall(old, padded=True)
    assert padded.memory.shape == (1, 7, TOKENS, 64)
    assert padded.memory_valid.sum() == 3
    assert padded.obj_ptr.shape == (1, 16, 256)


def test_a_later_conditioning_frame_replaces_the_first_and_the_ring_goes_on() -> None:
    bank = bank_of()
    rows = live(bank, 5)
    bank.remember(rows, *frame(5), YES)
    recalled = bank.recall(rows, padded=True)
    values = {
        float(memory[0, 0]): int(tpos)
        for memory, tpos, valid in zip(
            recalled.memory[0], recalled.memory_tpos[0], recalled.memory_valid[0], strict=True
        )
        if valid
    }
    assert values == {5: 6, 1: 4, 2: 3, 3: 2, 4: 1}
    assert recalled.obj_ptr_tdiff[0, 0] == 1


def test_a_frame_out_of_the_window_is_not_valid_although_its_slot_was_not_written_over() -> None:
    bank = bank_of()
    rows = live(bank, 7)
    bank.remember(rows, *frame(7), YES)  # the ring's slot for frame 7 keeps frame 1
    recalled = bank.recall(rows, padded=True)
    values = {
        float(m[0, 0]) for m, valid in zip(recalled.memory[0], recalled.memory_valid[0], strict=True) if valid
    }
    assert values == {7, 2, 3, 4, 5, 6}


def test_rows_never_move_and_the_lowest_free_one_is_taken() -> None:
    bank = bank_of()
    assert [bank.add(("a", number))[0] for number in (1, 2, 3)] == [0, 1, 2]
    assert bank.remove(("a", 1)) and bank.remove(("a", 2)) and not bank.remove(("a", 2))
    assert bank.row(("a", 3)) == 2
    assert bank.add(("b", 9)) == (0, None)
    assert bank.add(("b", 9)) == (0, None)
    assert len(bank) == 2


def test_the_least_recently_touched_gives_way_never_a_protected_one() -> None:
    bank = bank_of()
    for number in (1, 2, 3):
        live(bank, 2, ("a", number))
    bank.protect(("a", 1))
    bank.touch([1])
    row, evicted = bank.add(("a", 4))
    assert evicted == ("a", 3) and row == 2
    assert not bank.remembers(("a", 4)), "nothing of the one before is left"
    bank.protect(("a", 2))
    bank.protect(("a", 4))
    before = bank.keys
    with pytest.raises(PromptError, match="all 3 objects of the bank are protected"):
        bank.add(("a", 5))
    assert bank.keys == before
    bank.remove(("a", 1))
    assert bank.add(("a", 5)) == (0, None)
    for number in (6, 7):  # the protection went with the object
        bank.add(("a", number))
    assert ("a", 5) not in bank or ("a", 6) not in bank


def test_a_camera_goes_with_all_its_objects() -> None:
    bank = bank_of()
    for key in (("a", 1), ("b", 1), ("a", 2)):
        live(bank, 1, key)
    assert bank.remove_camera("a") == 2
    assert bank.keys == (("b", 1),)


def test_a_forgotten_row_keeps_its_object() -> None:
    bank = bank_of()
    rows = live(bank, 4)
    bank.forget(int(rows[0]))
    assert ("a", 1) in bank and not bank.remembers(("a", 1)) and bank.steps(("a", 1)) == 0
    bank.remember(rows, *frame(9), YES)
    assert bank.recall(rows).memory_tpos.tolist() == [[6]]


def test_memories_are_rounded_as_bfloat16_rounds() -> None:
    # 1 + 2^-8 lies halfway between 1 and the next bfloat16: to even, which is 1; 1 + 3 · 2^-8 to even, upwards.
    values = np.array([1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, -3.14159265, 0, 1e-40, 3e38], np.float32)
    back = np.empty_like(values)
    from_bfloat16(to_bfloat16(values), back)
    assert back[:3].tolist() == [1, 1 + 2**-6, 1 + 2**-7]
    torch = pytest.importorskip("torch")
    assert np.array_equal(back, torch.from_numpy(values).bfloat16().float().numpy())
    many = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    back = np.empty_like(many)
    from_bfloat16(to_bfloat16(many), back)
    assert np.array_equal(back, torch.from_numpy(many).bfloat16().float().numpy())


def test_nothing_is_allocated_later() -> None:
    bank = MemoryBank(4, 16)
    nbytes = bank.nbytes
    pointers = [bank._memory.ctypes.data, bank._pointer.ctypes.data, bank._recalled.ctypes.data]
    for index in range(200):
        rows = np.array([bank.add(("a", index))[0]])
        bank.remember(rows, np.ones((1, 16, 64), np.float32), np.ones((1, 256), np.float32), YES)
        bank.recall(rows)
    assert bank.nbytes == nbytes
    assert pointers == [bank._memory.ctypes.data, bank._pointer.ctypes.data, bank._recalled.ctypes.data]
    assert len(bank) == 4


@pytest.mark.parametrize("sizes", [{"capacity": 0}, {"tokens": 0}, {"slots": 1}, {"pointers": 1}])
def test_sizes_that_make_no_bank_are_refused(sizes: dict[str, int]) -> None:
    all_sizes = {"capacity": 1, "tokens": 1, "slots": 7, "pointers": 16} | sizes
    with pytest.raises(ValueError, match="capacity"):
        MemoryBank(all_sizes["capacity"], all_sizes["tokens"], all_sizes["slots"], all_sizes["pointers"])
