"""Every kind of fault and rule that a simulated camera knows, with what it does: as in docs/ptz_simulator.md."""

from __future__ import annotations

from typing import Final

MOTION: Final = {
    "dead": "commands are accepted and nothing moves",
    "dead_pan": "pan does not move",
    "dead_tilt": "tilt does not move",
    "dead_zoom": "the zoom does not move",
    "dead_zoomed": "nothing moves while zoomed in further than VALUE",
    "stop_lost": "stops and zero speeds are accepted and ignored",
    "stop_late": "stops take effect VALUE seconds later",
    "expiry_ignored": "a turn's own end is ignored",
    "limit_error": "a place beyond a stop is refused",
    "report_frozen": "the position of the start for ever",
    "report_offset": "pan is off by VALUE degrees",
    "report_drift": "pan drifts off by VALUE degrees a second",
    "report_noise": "pan and tilt scatter by VALUE degrees",
    "report_wrap": "near north it tells 0 or 359.9",
    "report_hundredths": "pan and tilt ten times too large",
    "report_no_zoom": "positions without the zoom",
    "report_nan": "positions that are no numbers",
    "moving_stuck": "always moving",
    "moving_none": "no move state",
    "foreign": "somebody else pans at level VALUE",
    "autotrack": "the camera's own tracking turns it",
    "park": "it goes home, once",
    "reboot": "it is away for VALUE seconds",
    "clock_jump": "its clock is off by VALUE seconds",
    "video_freeze": "no new pictures",
    "video_drops": "pictures are lost",
    "video_late": "pictures take VALUE seconds",
}
"""Of the head, its reports and its video: `ptz.simulator.device`."""

LOGIN: Final = {
    "unauthorized": "every login is refused",
    "lockout": "every address is locked",
    "stale_nonce": "every VALUE-th login (2) is told that its nonce is stale",
    "nonce_life": "a nonce lives VALUE seconds",
    "nonce_uses": "a nonce serves VALUE times (1)",
    "no_qop": "challenges without qop (RFC 2069)",
    "dual_challenge": "two challenges, MD5 and SHA-256",
    "challenge_spelling": "challenges in odd cases, blanks and quotes",
    "empty_body_refused": "a command without a body is refused before any challenge",
}
"""At the door: `ptz.simulator.accounts`, told by `ptz.simulator.wire_faults`."""

ANSWERS: Final = {
    "busy": "503 deviceBusy while VALUE or more requests are open",
    "busy_no_body": "the same without a body",
    "status_in_200": "200 with statusCode VALUE (4), nothing done",
    "method_not_allowed": "403 methodNotAllowed",
    "not_support": "403 notSupport",
    "insufficient_permission": "403 insufficientPermission",
    "not_found": "404",
    "bad_request": "400 badParameters",
    "device_error": "500 deviceError",
    "html_page": "200 with a page for people",
    "truncated_xml": "two thirds of the document",
    "xml_bomb": "a document with nested entities",
    "wrong_charset": "a charset that nobody knows",
}
"""Instead of, or in, an answer: `ptz.simulator.wire_faults`."""

WIRE: Final = {
    "slow": "answers take VALUE seconds longer",
    "status_blocks": "status takes VALUE seconds longer (30)",
    "half_answer": "half an answer, then nothing",
    "half_answer_close": "half an answer, then the end of the connection",
    "reset_before": "reset before anything is done",
    "reset_after": "reset after it is done",
    "silent": "no answer, nothing done",
    "half_open": "a connection is dead after VALUE requests (1)",
    "close_each": "the connection ends after each answer",
    "trailing_bytes": "bytes after the answer that belong to nothing",
    "garbage": "bytes that are no HTTP",
    "chunked": "answers in chunks",
    "length_too_long": "a Content-Length greater than the body",
    "length_too_short": "a Content-Length less than the body",
    "refused": "connection refused",
}
"""On the way: `ptz.simulator.wire_faults`, done by `ptz.simulator.server` and `ptz.simulator.transport`."""

FACES: Final = {
    "namespace_required": "ISAPI: 400 without version and namespace",
    "namespace_ignored": "ISAPI: OK without version and namespace, and nothing is done",
    "declaration_required": "ISAPI: 400 without the XML declaration",
    "order_required": "ISAPI: 400 for elements in another order",
    "content_type_required": "ISAPI: 400 for anything but application/xml",
    "length_required": "ISAPI: 400 without Content-Length",
    "no_mixed": "ISAPI: 400 for zoom with pan or tilt",
    "reboot_wants_no_body": "ISAPI: 400 for a reboot with a body",
    "position3d_from_top": "ISAPI: position3D counts from the top",
    "alert_boundary": "ISAPI: spelling VALUE (0 to 3) of the boundary",
    "alert_silent": "ISAPI: no heartbeats",
    "alert_split": "ISAPI: events in pieces",
    "alert_no_length": "ISAPI: events without Content-Length",
    "alert_junk": "ISAPI: bytes between events",
    "zero_rejected": "a zero speed is refused",
    "zero_ignored": "a zero speed is accepted and ignored",
    "stop_rejected": "ONVIF: Stop is refused",
    "stop_ignored": "ONVIF: Stop is accepted and ignored",
    "addressing_rejected": "ONVIF: Stop with WS-Addressing is refused",
    "timeout_rejected": "ONVIF: ContinuousMove with Timeout is refused",
    "timeout_range_zero": "ONVIF: PTZTimeout is told as 0 to 0",
    "fov_range_100": "ONVIF: TranslationSpaceFov runs from -100 to 100",
    "fov_range_zero": "ONVIF: TranslationSpaceFov is told as 0 to 0",
    "fov_ignored": "ONVIF: moves in TranslationSpaceFov are accepted and ignored",
    "node_zoom_only": "ONVIF: the node has no pan and tilt",
    "node_pan_tilt_only": "ONVIF: the node has no zoom",
    "move_status_absent": "ONVIF: no MoveStatus",
    "move_status_unknown": "ONVIF: MoveStatus UNKNOWN",
    "move_status_text": "ONVIF: MoveStatus as a text",
    "move_status_bool": "ONVIF: MoveStatus true or false",
}
"""How a face reads and tells things. These also serve as rules that always hold (`CameraSettings.rules`)."""

KINDS: Final = MOTION | LOGIN | ANSWERS | WIRE | FACES
