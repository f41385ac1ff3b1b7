"""One camera before the detector: the newest frame waits, and every other one has a reason."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engine.batching.camera_queue import Arrival, CameraQueue, Drops

MS = 1_000_000


def frame(seq: int, at_ms: int | None = None) -> Arrival:
    at_ns = (40 * seq if at_ms is None else at_ms) * MS
    return Arrival(seq, at_ns, at_ns, at_ns + MS)


def test_live_the_newest_frame_waits() -> None:
    queue = CameraQueue("gate")
    for seq in (1, 2, 3):
        queue.arrive(frame(seq))
    assert queue.waiting == 1 and queue.due_since_ns == 41 * MS, "the camera waits since its first frame"
    pick = queue.take()
    assert (pick.arrival.seq, pick.drops, queue.in_flight) == (3, Drops(superseded=2), 1)
    assert not queue.waiting and queue.decided_seq == 3


def test_offline_every_frame_waits_its_turn() -> None:
    queue = CameraQueue("gate", live=False, most_in_flight=3)
    for seq in (1, 2, 3):
        queue.arrive(frame(seq))
    assert queue.decided_seq == 0
    assert [queue.take().arrival.seq for _ in range(3)] == [1, 2, 3]
    assert queue.drops == Drops()


def test_what_was_overwritten_before_it_was_seen_is_superseded() -> None:
    queue = CameraQueue("gate", seen_seq=4)
    queue.arrive(frame(9))
    assert queue.take().drops == Drops(superseded=4)


def test_a_thinned_camera_that_has_to_wait_gives_its_newest_frame_all_the_same() -> None:
    """25 frames/s thinned to 5, and the detector comes late."""
    queue = CameraQueue("gate", target_fps=5)
    for seq in range(1, 9):
        queue.arrive(frame(seq))
    assert queue.waiting == 1
    pick = queue.take()
    assert pick.arrival.seq == 8
    assert pick.drops == Drops(superseded=1, rate=6)


def test_a_thinned_camera_has_nothing_waiting_between_its_turns() -> None:
    queue = CameraQueue("gate", target_fps=5)
    queue.arrive(frame(1))
    queue.take()
    for seq in range(2, 6):
        queue.arrive(frame(seq))
        assert not queue.waiting and queue.decided_seq == seq
    queue.arrive(frame(6))
    assert queue.waiting == 1 and queue.drops == Drops(rate=4)


def test_what_is_not_wanted_offline_does_not_replace_what_is() -> None:
    queue = CameraQueue("gate", target_fps=12.5, live=False, most_in_flight=9)
    for seq in range(1, 7):
        queue.arrive(frame(seq))
    picks = [queue.take() for _ in range(queue.waiting)]
    assert [(pick.arrival.seq, pick.drops.rate) for pick in picks] == [(1, 0), (3, 1), (5, 2)]
    assert queue.drops.rate == 3


def test_no_more_is_due_than_may_be_in_flight() -> None:
    queue = CameraQueue("gate", live=False, most_in_flight=1)
    queue.arrive(frame(1))
    queue.arrive(frame(2))
    seen = [queue.due]
    queue.take()
    seen.append(queue.due)
    queue.done()
    seen.append(queue.due)
    assert seen == [True, False, True] and queue.waiting == 1


def test_the_next_wanted_frame_is_expected_by_the_rate() -> None:
    queue = CameraQueue("gate", target_fps=12.5)
    assert queue.next_wanted_ns(unknown_period_ns=100 * MS) == (100 * MS, 200 * MS)
    for seq in range(1, 31):
        queue.arrive(frame(seq))
    last_ns = frame(30).available_ns
    assert queue.period_ns() == 80 * MS
    assert queue.next_wanted_ns(100 * MS) == (last_ns + 40 * MS, last_ns + 80 * MS)
    queue.arrive(frame(31))
    assert queue.next_wanted_ns(100 * MS) == (last_ns + 120 * MS, last_ns + 160 * MS), "not the very next"


def test_too_old_is_dropped() -> None:
    queue = CameraQueue("gate")
    queue.arrive(frame(1))
    queue.expire(40 * MS)
    assert queue.waiting == 1, "just not too old"
    queue.expire(40 * MS + 1)
    assert not queue.waiting and queue.drops == Drops(stale=1)


def test_offline_nothing_is_too_old() -> None:
    queue = CameraQueue("gate", live=False)
    queue.arrive(frame(1))
    queue.expire(10**18)
    assert queue.waiting == 1


def test_a_frame_that_was_overwritten_before_it_could_be_leased() -> None:
    queue = CameraQueue("gate")
    queue.arrive(frame(1))
    queue.take()
    queue.gone()
    assert (queue.in_flight, queue.drops) == (0, Drops(superseded=1))


def test_the_end_is_no_frame_and_the_camera_is_not_live_any_more() -> None:
    queue = CameraQueue("gate")
    queue.arrive(frame(1))
    assert queue.is_live(50 * MS)
    queue.end(4)
    assert not queue.is_live(50 * MS)
    assert (queue.seen_seq, queue.drops) == (3, Drops(superseded=2))


class Accounts(RuleBasedStateMachine):
    """frames_in = processed + in flight + waiting + Σ dropped, whatever happens, in both modes."""

    def __init__(self) -> None:
        super().__init__()
        self.queues = [CameraQueue("live", target_fps=9), CameraQueue("offline", live=False, target_fps=9)]
        for queue in self.queues:
            queue.most_in_flight = 3
        self.processed = [0, 0]
        self.now_ms = 0

    @rule(gap_ms=st.integers(0, 400), missed=st.integers(0, 2))
    def come(self, gap_ms: int, missed: int) -> None:
        self.now_ms += gap_ms
        for queue in self.queues:
            queue.arrive(frame(queue.seen_seq + 1 + missed, self.now_ms))

    @rule()
    def come_empty(self) -> None:
        for queue in self.queues:
            queue.refuse(queue.seen_seq + 1)

    @rule()
    def take(self) -> None:
        for queue in self.queues:
            if queue.due:
                pick = queue.take()
                before = pick.drops.total() + self.processed[self.queues.index(queue)] + queue.in_flight
                assert before == pick.arrival.seq, "a frame carries exactly what was dropped before it"

    @rule()
    def finish(self) -> None:
        for number, queue in enumerate(self.queues):
            if queue.in_flight:
                queue.done()
                self.processed[number] += 1

    @rule(age_ms=st.integers(0, 500))
    def grow_old(self, age_ms: int) -> None:
        for queue in self.queues:
            queue.expire((self.now_ms - age_ms) * MS)

    @rule(count=st.integers(1, 3))
    def die(self, count: int) -> None:
        """A worker that died with frames in flight: its successor counts what came until it was there."""
        for queue in self.queues:
            if queue.live and not queue.waiting:
                queue.drops.restart += queue.in_flight
                queue.in_flight = 0
                queue.lose(queue.seen_seq + count)

    @invariant()
    def nothing_is_lost(self) -> None:
        for queue, processed in zip(self.queues, self.processed, strict=True):
            assert queue.seen_seq == processed + queue.in_flight + queue.waiting + queue.drops.total()
            assert queue.waiting <= 1 or not queue.live


Accounts.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAccounts = Accounts.TestCase
