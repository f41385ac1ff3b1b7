"""Live video to and from WebRTC peers without encoding again. Knows packets, not cameras, pools or HTTP.

rtp.py    H.264 access units as RTP payloads, made once for all peers, and the numbers of one peer's RTP stream
sdp.py    what is read from and written into session descriptions
peer.py   one connection: ICE, DTLS, SRTP, RTCP, data channel (the only file that imports aiortc)
"""
