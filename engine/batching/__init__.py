"""Which frames go through the detector together, and when: pure policy.

Knows sequence numbers and times in nanoseconds. Does no I/O, has no threads and reads no clock: `now_ns` is always
an argument, so that everything here runs on recorded arrivals. Pools, leases and lanes are the worker's.
"""
