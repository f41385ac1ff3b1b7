"""Every fault of a simulated camera while it follows somebody: what is shown, and how soon all is well again.

One run per fault in virtual time, over the protocol that the fault belongs to, with a person who walks. The fault lasts
for 6 s. Recovered means: the head is `ok` again and the person in the picture.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

from bench.machine import markdown_table
from bench.ptz_runs import in_processes
from ptz.simulator.closed_loop import START_S, LoopSettings, RunReport, run_scene
from ptz.simulator.fault_kinds import KINDS, LOGIN
from ptz.simulator.faults import Fault
from ptz.types import HeadState

FROM_S, LASTS_S, AFTER_S = 14.0, 6.0, 12.0
SOON_S = 3.0
VALUES = {
    "dead_zoomed": 1.2, "stop_late": 2.0, "report_offset": 15.0, "report_drift": 2.0, "foreign": 40.0, "reboot": 4.0,
    "clock_jump": -3600.0, "video_late": 0.8, "slow": 1.0, "status_blocks": 30.0, "nonce_life": 2.0,
}  # fmt: skip
PROBABILITIES = {"video_drops": 0.3}
OK, DEGRADED, NOT_MOVING = HeadState.OK, HeadState.DEGRADED, HeadState.NOT_MOVING
UNREACHABLE, LOCKED = HeadState.UNREACHABLE, HeadState.LOCKED
SHOWN: dict[str, frozenset[HeadState]] = {
    "dead": frozenset({NOT_MOVING}),
    "dead_pan": frozenset({NOT_MOVING, DEGRADED}),
    "dead_zoomed": frozenset({NOT_MOVING, DEGRADED}),
    "namespace_ignored": frozenset({OK, NOT_MOVING}),
    "unauthorized": frozenset({LOCKED}),
    "lockout": frozenset({LOCKED}),
    "reboot": frozenset({UNREACHABLE}),
    **dict.fromkeys(
        (
            "silent",
            "garbage",
            "refused",
            "half_answer",
            "half_answer_close",
            "reset_before",
            "length_too_long",
        ),
        frozenset({UNREACHABLE, DEGRADED}),
    ),
    **dict.fromkeys(
        ("html_page", "truncated_xml", "xml_bomb"), frozenset({DEGRADED, UNREACHABLE, NOT_MOVING})
    ),
}
"""States that must be shown while a fault lasts; for others `ok` and `degraded` are right."""


@dataclass(frozen=True)
class Faulty:
    """What came of one fault. `recovered_s` is NaN where it was never well again in time."""

    kind: str
    driver: str
    states: tuple[str, ...]
    recovered_s: float
    reason: str
    failure: str = ""

    @property
    def right(self) -> bool:
        """No crash, and a state that tells what is wrong was shown."""
        wanted = SHOWN.get(self.kind)
        if wanted is None:
            return not self.failure and bool({OK, DEGRADED} & set(self.states))
        return not self.failure and bool(wanted & set(self.states))

    @property
    def soon(self) -> bool:
        """Well again within `SOON_S`."""
        return self.recovered_s <= SOON_S


def settings_of(kind: str) -> LoopSettings:
    """A walk with this fault, over the protocol that it belongs to."""
    onvif = KINDS[kind].startswith("ONVIF") or kind.startswith("moving_")
    duration_s = VALUES["reboot"] if kind == "reboot" else LASTS_S
    fault = Fault(kind, START_S + FROM_S, duration_s, PROBABILITIES.get(kind, 1.0), "", VALUES.get(kind, 0.0))
    return LoopSettings(
        "walk_across",
        "onvif-fov" if onvif else "hik-8425ix",
        driver="onvif" if onvif else "hikvision",
        duration_s=FROM_S + LASTS_S + AFTER_S,
        faults=(fault,),
    )


def run_fault(settings: LoopSettings) -> Faulty:
    """One fault. An exception is a finding, not the end of the benchmark."""
    fault = settings.faults[0]
    try:
        report = run_scene(settings)
    except Exception as error:  # whatever it is: it is what this looks for
        return Faulty(fault.kind, settings.driver, (), float("nan"), "", f"{type(error).__name__}: {error}")
    return Faulty(
        fault.kind,
        settings.driver,
        shown(report, fault),
        recovered_s(report, fault),
        str(report.told["reason"]),
    )


def shown(report: RunReport, fault: Fault) -> tuple[str, ...]:
    """States of the head while the fault lasted, in order."""
    before = [state for at_s, _, state in report.states if at_s <= fault.start_s]
    during = [state for at_s, _, state in report.states if fault.start_s < at_s <= fault.end_s + 0.5]
    return tuple(dict.fromkeys([*before[-1:], *during]))


def recovered_s(report: RunReport, fault: Fault) -> float:
    """Seconds from the fault's end until the head is `ok` and the person in the picture, and both stay so."""
    series = report.series.between(fault.end_s)
    well = series.in_frame.copy()
    for number, at_s in enumerate(series.time_s):
        state = [state for since_s, _, state in report.states if since_s <= at_s][-1]
        well[number] &= state == OK
    if not len(well) or not well[-1]:
        return float("nan")
    bad = [number for number in range(len(well)) if not well[number]]
    return float(series.time_s[bad[-1] + 1] - fault.end_s) if bad else 0.0


def all_faults(args: argparse.Namespace) -> dict[str, dict[str, str]]:
    """Every kind; prints the table and gives the sentence for the goals."""
    found: list[Faulty] = []
    for one in in_processes(run_fault, [settings_of(kind) for kind in KINDS], args.jobs):
        found.append(one)
        print(f".. {one.kind}: {one.states} {one.recovered_s:.1f} {one.failure}", file=sys.stderr, flush=True)
    rows: list[tuple[object, ...]] = [
        (
            one.kind, KINDS[one.kind], one.driver, one.failure or " → ".join(one.states),
            "yes" if one.right else "no", "never" if one.recovered_s != one.recovered_s else f"{one.recovered_s:.1f}",
        )
        for one in found
    ]  # fmt: skip
    heads = ("fault", "what happens", "driver", "states shown", "right", "well again after, s")
    print(f"### Faults, {LASTS_S:g} s each\n\n{markdown_table(heads, rows)}\n", flush=True)
    crashed = [one.kind for one in found if one.failure]
    wrong = [one.kind for one in found if not one.right and not one.failure]
    late = [one.kind for one in found if not one.soon and one.kind not in LOGIN]
    at_the_door = [one.kind for one in found if not one.soon and one.kind in LOGIN]
    said = (
        f"{len(found)} faults: {len(crashed)} crashes{_named(crashed)}, {len(wrong)} with another state than expected"
        f"{_named(wrong)}, {len(late)} not well again within {SOON_S:g} s{_named(late)}"
    )
    if at_the_door:
        said += f"; after refused logins it waits for its budget or for a person{_named(at_the_door)}"
    return {"reach": {"faults": said}}


def _named(kinds: list[str]) -> str:
    return f" ({', '.join(kinds)})" if kinds else ""
