"""Pixel and box kernels: letterbox, colour conversion, non-maximum suppression.

One module a device, the same signatures in each (`kernels.cpu` now), and one numpy reference that all are
tested against. Kernels know arrays only: no frames, no models, no configuration.
"""
