"""Messages between two processes' ends: whole, with their descriptors, or a clear end."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from ipc.channel import Channel, ChannelClosed, Message

PATIENCE_S = 0.05


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    ours, theirs = Channel.pair()
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.fixture
def raw() -> Iterator[tuple[socket.socket, Channel]]:
    """A bare socket that may send anything, and the channel that has to cope with it."""
    bare, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    channel = Channel(other)
    yield bare, channel
    bare.close()
    channel.close()


def open_descriptors() -> set[str]:
    return set(os.listdir("/dev/fd"))


def test_messages_arrive_in_order_in_both_directions(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    first: Message = {"type": "start", "nested": {"list": [1, 2.5, None, True]}, "text": "Straße 中 \n"}
    ours.send(first)
    ours.send({"type": "second"})
    assert theirs.receive() == (first, [])
    assert theirs.receive() == ({"type": "second"}, [])
    theirs.send({"type": "answer"})
    assert ours.receive() == ({"type": "answer"}, [])


def test_descriptors_arrive_as_duplicates_with_their_message(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    read_fd, write_fd = os.pipe()
    ours.send({"type": "with"}, [read_fd, write_fd])
    ours.send({"type": "without"})
    os.close(read_fd)
    os.close(write_fd)
    message, descriptors = theirs.receive()
    assert message == {"type": "with"} and len(descriptors) == 2
    os.write(descriptors[1], b"through the copy")
    assert os.read(descriptors[0], 100) == b"through the copy"
    assert theirs.receive() == ({"type": "without"}, [])
    for fd in descriptors:
        assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC, "leaks into programs that are started"
        os.close(fd)


def test_a_message_bigger_than_the_socket_takes_at_once(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    read_fd, write_fd = os.pipe()
    message = {"type": "big", "text": "x" * 3_000_000}
    sender = threading.Thread(target=ours.send, args=(message, [read_fd]))
    sender.start()
    received, descriptors = theirs.receive()
    sender.join()
    assert received == message and len(descriptors) == 1
    for fd in (read_fd, write_fd, *descriptors):
        os.close(fd)


def test_what_is_beyond_the_limits_is_refused_by_the_sender(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    with pytest.raises(ValueError, match="bytes with 0 descriptors"):
        ours.send({"text": "x" * 4 * 2**20})
    with pytest.raises(ValueError, match="with 33 descriptors"):
        ours.send({}, [0] * 33)
    ours.send({"type": "still good"})
    assert theirs.receive() == ({"type": "still good"}, [])


def test_a_partner_that_is_gone_is_end_of_file_after_its_last_message(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    theirs.send({"type": "fatal"})
    theirs.close()
    assert ours.receive() == ({"type": "fatal"}, [])
    for _ in range(2):
        with pytest.raises(ChannelClosed, match="end of file"):
            ours.receive()
    with pytest.raises(ChannelClosed):
        ours.send({"type": "late"})


@pytest.mark.parametrize(
    "part",
    [b"", b"\x05\x00", struct.pack("<I", 5), struct.pack("<I", 5) + b"[1,2"],
    ids=["nothing", "half a header", "no body", "half a body"],
)
def test_a_partner_that_dies_in_the_middle_of_a_message(
    raw: tuple[socket.socket, Channel], part: bytes
) -> None:
    bare, channel = raw
    bare.sendall(part)
    bare.close()
    with pytest.raises(ChannelClosed, match="end of file"):
        channel.receive()


def test_descriptors_of_half_a_message_are_closed(raw: tuple[socket.socket, Channel]) -> None:
    bare, channel = raw
    before = open_descriptors()
    socket.send_fds(bare, [struct.pack("<I", 100) + b"{"], [bare.fileno()])
    bare.shutdown(socket.SHUT_WR)
    with pytest.raises(ChannelClosed):
        channel.receive()
    assert open_descriptors() == before


@pytest.mark.parametrize(
    ("packet", "words"),
    [
        (struct.pack("<I", 2**32 - 1), "message of 4294967295 bytes"),
        (struct.pack("<I", 3) + b"{a}", "no message"),
        (struct.pack("<I", 1) + b"\xff", "no message"),
    ],
)
def test_what_is_no_message_closes_the_channel(
    raw: tuple[socket.socket, Channel], packet: bytes, words: str
) -> None:
    bare, channel = raw
    bare.sendall(packet)
    with pytest.raises(ChannelClosed, match=words):
        channel.receive()


def test_a_partner_that_stops_talking_in_the_middle_is_given_up(raw: tuple[socket.socket, Channel]) -> None:
    bare, channel = raw
    channel.set_timeout(PATIENCE_S)
    bare.sendall(struct.pack("<I", 5) + b"[1")
    with pytest.raises(ChannelClosed, match="timed out"):
        channel.receive()


def test_a_partner_that_does_not_listen_gets_no_half_message_followed_by_another(
    raw: tuple[socket.socket, Channel],
) -> None:
    bare, channel = raw
    channel.set_timeout(PATIENCE_S)
    with pytest.raises(ChannelClosed, match="timed out"):
        channel.send({"text": "x" * 3_000_000})
    with pytest.raises(ChannelClosed):
        channel.send({"type": "next"})
    bare.setblocking(False)
    received = b"".join(iter(lambda: bare.recv(2**20), b""))
    assert b"next" not in received and received.endswith(b"x")


def test_the_inherited_end(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    inherited = Channel.from_descriptor(os.dup(theirs.fileno()))
    ours.send({"type": "start"})
    assert inherited.receive() == ({"type": "start"}, [])
    inherited.close()


def test_a_hang_up_is_noticed_and_what_was_said_before_is_not_lost(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    theirs.send({"type": "last"})
    assert not ours.hung_up(0), "a message was taken for the end"
    theirs.hang_up()
    assert ours.hung_up(0) and ours.hung_up(0)
    assert ours.receive() == ({"type": "last"}, [])
    with pytest.raises(ChannelClosed):
        ours.receive()
    ours.hang_up()
    theirs.hang_up()


def test_hanging_up_wakes_a_thread_of_its_own_that_listens(ends: tuple[Channel, Channel]) -> None:
    _, theirs = ends
    ended = threading.Event()

    def listen() -> None:
        with pytest.raises(ChannelClosed):
            theirs.receive()
        ended.set()

    thread = threading.Thread(target=listen)
    thread.start()
    assert not ended.wait(PATIENCE_S)
    theirs.hang_up()
    assert ended.wait(10)
    thread.join()


def test_a_partner_that_is_gone_has_hung_up(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    assert not ours.hung_up(PATIENCE_S)
    theirs.close()
    assert ours.hung_up(0)
