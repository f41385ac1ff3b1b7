"""Segmentation beside detection: which objects get masks, when, and what becomes of a mask between keyframes.

Pure policy on arrays and numbers: no clock, no threads, no models (`mask_motion`, which looks at pixels, apart).
"""
