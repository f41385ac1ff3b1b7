"""Brokers for the tests of buses."""

from __future__ import annotations

from tests.peers.brokers import broker, mosquitto

__all__ = ["broker", "mosquitto"]
