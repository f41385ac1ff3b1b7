"""What happens before a camera, as data: lines crossed, zones entered and left, counts, speed, groups.

Pure: tracks go in, events come out. No clock, no threads, no I/O; time is that of the frames. docs/events.md says when
exactly each event is made.

camera.py      one camera: what is seen in a frame, put through the parts below
frame_time.py  time that only goes forward
table.py       what is remembered of each track, in columns that grow and are used again
geometry.py    paths, lines and polygons
lines.py       lines crossed
zones.py       zones entered, left, dwelled in
speed.py       speed, fast movers
groups.py      groups
happenings.py  events of one frame before they are arrays
counters.py    what has happened so far, for whoever comes after a killed process
"""

from engine.events.camera import CameraEvents, fitting
from engine.events.counters import Counters

__all__ = ["CameraEvents", "Counters", "fitting"]
