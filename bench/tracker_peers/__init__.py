"""Trackers of other libraries, each with that library's defaults, on detections that are handed to them.

A peer runs in a process of its own (`python -m bench.tracker_peers`), never in the engine: some are under the AGPL, and
they want other versions of what the engine uses. Does not know the engine.
"""
