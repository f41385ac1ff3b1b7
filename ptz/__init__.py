"""Pan-tilt-zoom: geometry, framing, prediction, control and camera drivers.

This package knows degrees, seconds and zoom ratios. It does not know frames, models or processes.
"""
