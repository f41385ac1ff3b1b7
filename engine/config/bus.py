"""Settings of message buses: which brokers get what."""

from __future__ import annotations

from dataclasses import dataclass

from engine.config.values import setting


@dataclass(frozen=True, slots=True)
class BusConfig:
    """Results and events for other programs, over brokers that they know already."""

    urls: tuple[str, ...] = setting(
        (),
        "brokers: `mqtt://`, `mqtts://`, `nats://`, `redis://`, `rediss://`, `kafka://`, each "
        "`SCHEME://[USER:PASSWORD@]HOST[:PORT][/PREFIX]`; `${VARIABLE}` stands for a secret",
        flag="--bus",
    )
    records: str = setting(
        "events",
        "what is sent: `events` = what happens, and the state of each camera; `results` = every frame record besides",
        choices=("events", "results"),
    )
