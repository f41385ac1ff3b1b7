"""Stops cameras' heads whose controller has died or hangs: `python -m ptz.watchdog`, started by `ptz.watchdog_link`.

A process of its own with a connection of its own, because it must work when nothing else does. Learns over its standard
input which heads there are, which of them turn and how each is stopped.
"""

from __future__ import annotations


def main() -> int:
    """Watch until the controller is gone and its heads rest."""
    raise NotImplementedError


if __name__ == "__main__":
    raise SystemExit(main())
