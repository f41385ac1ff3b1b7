"""Session descriptions: what is left out of offers, and what trickles in later."""

from __future__ import annotations

from engine.webrtc.sdp import TrickledCandidate, trickled, user_fragment, without_hidden_candidates

HOST = "a=candidate:1 1 udp 2113937151 192.0.2.7 50000 typ host generation 0"
HIDDEN = "a=candidate:2 1 udp 2113937151 0f1e2d3c-aa.local 50001 typ host generation 0"


def test_hidden_candidates_and_the_end_of_candidates_are_left_out() -> None:
    offer = f"v=0\r\na=ice-ufrag:abcd\r\n{HIDDEN}\r\n{HOST}\r\na=end-of-candidates\r\na=mid:0\r\n"
    assert without_hidden_candidates(offer) == f"v=0\r\na=ice-ufrag:abcd\r\n{HOST}\r\na=mid:0\r\n"
    assert without_hidden_candidates("v=0\na=mid:0\n") == "v=0\r\na=mid:0\r\n"


def test_the_user_fragment_names_the_session() -> None:
    assert user_fragment("v=0\r\na=ice-ufrag:ab+/\r\na=ice-ufrag:other\r\n") == "ab+/"
    assert user_fragment("v=0\r\n") == ""


def test_trickled_candidates_belong_to_their_medium() -> None:
    fragment = (
        f"a=ice-ufrag:abcd\r\nm=video 9 X 0\r\na=mid:1\r\n{HOST}\r\n{HIDDEN}\r\na=end-of-candidates\r\n"
    )
    assert trickled(fragment) == [TrickledCandidate(HOST.removeprefix("a=candidate:"), "1")]
    assert trickled("") == []
