"""A sending peer by itself; whole connections are in tests/control/test_whep.py and tests/publish/test_whip.py."""

from __future__ import annotations

import asyncio
import re
from random import Random

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from engine.errors import WebRtcError
from engine.webrtc.peer import MOST_ADDRESSES, SendingPeer, addresses_for
from engine.webrtc.rtp import Payloads


def make_peer(closed: list[str]) -> SendingPeer:
    return SendingPeer(["127.0.0.1"], Payloads(), lambda: None, lambda: None, closed.append)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "127.3.2.1"])
def test_who_is_on_this_machine_is_offered_nothing_but_the_loopback(address: str) -> None:
    assert addresses_for(address) == [address]
    assert addresses_for("::ffff:127.0.0.1") == ["127.0.0.1"]


def test_others_are_offered_first_the_address_that_they_know() -> None:
    found = addresses_for("192.0.2.77")
    assert found[0] == "192.0.2.77"
    assert len(found) == len(set(found)) <= MOST_ADDRESSES
    assert not [each for each in found if each.startswith("127.")]


def test_behind_a_proxy_all_addresses_but_the_loopback_are_offered() -> None:
    assert (
        addresses_for("")
        == [each for each in addresses_for("192.0.2.77") if each != "192.0.2.77"][:MOST_ADDRESSES]
    )


def test_an_offer_of_ours_names_h264_and_the_chosen_addresses_only() -> None:
    async def test() -> None:
        closed: list[str] = []
        peer = make_peer(closed)
        offer = await peer.offer()
        assert "a=sendonly" in offer
        assert "H264/90000" in offer
        assert "VP8" not in offer
        candidates = [line for line in offer.splitlines() if line.startswith("a=candidate:")]
        assert candidates
        assert all(" 127.0.0.1 " in line and "typ host" in line for line in candidates)
        assert peer.session in offer
        assert not peer.ready
        with pytest.raises(WebRtcError, match="answer is no usable"):
            await peer.accept("v=0\r\nm=video")
        await peer.close()
        await peer.close()
        assert closed == ["closed"]

    asyncio.run(test())


def test_two_peers_on_one_loop_are_answered_with_the_loopback() -> None:
    """An offer of one is answered by another: it sends nothing that the first could receive, and says so."""

    async def test() -> None:
        one, two = make_peer([]), make_peer([])
        with pytest.raises(WebRtcError, match="recvonly"):
            await two.answer(await one.offer())
        await one.close()
        await two.close()

    asyncio.run(test())


def browsers_offer() -> str:
    """An offer as browsers make it: audio, video and data in one bundle."""

    async def make() -> str:
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        peer.addTransceiver("audio", direction="recvonly")
        peer.addTransceiver("video", direction="recvonly")
        peer.createDataChannel("frames")
        await peer.setLocalDescription(await peer.createOffer())
        offer: str = peer.localDescription.sdp
        await peer.close()
        return offer

    return asyncio.run(make())


OFFER = browsers_offer()


def test_what_else_is_offered_is_inactive() -> None:
    async def test() -> None:
        peer = make_peer([])
        answer = await peer.answer(OFFER)
        directions = re.findall(r"^a=(sendonly|inactive|recvonly|sendrecv)", answer, re.MULTILINE)
        assert directions == ["inactive", "sendonly"]
        assert "m=application" in answer
        await peer.close()

    asyncio.run(test())


@pytest.mark.parametrize("seed", range(40))
def test_damaged_offers_are_refused_or_answered_and_leave_nothing_behind(seed: int) -> None:
    random = Random(seed)
    lines = OFFER.split("\r\n")
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(lines))
        damage = random.choice(["drop", "repeat", "cut", "change"])
        if damage == "drop":
            del lines[at]
        elif damage == "repeat":
            lines.insert(at, random.choice(lines))
        elif damage == "cut":
            lines[at] = lines[at][: random.randrange(len(lines[at]) + 1)]
        else:
            lines[at] = lines[at].replace(
                random.choice("aeio0123:= "), random.choice(["", "-1", "9" * 20, "\x00", "é"])
            )

    async def test() -> None:
        troubles: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: troubles.append(context))
        peer = make_peer([])
        try:
            assert (await peer.answer("\r\n".join(lines))).startswith("v=0")
        except WebRtcError as error:
            assert "\n" not in str(error)
        await peer.close()
        await asyncio.sleep(0)
        assert troubles == []

    asyncio.run(test())
