"""Drivers: how to talk to a camera's head. Each is one file with a registered name."""
