"""Pixel, box and mask kernels: letterbox and colour, anchors, non-maximum suppression, mask assembly and blending.

One module a device with the same functions in each (`kernels.cpu`, `kernels.cuda`), and one numpy reference that all
are tested against (docs/kernels.md). Kernels know arrays only: no frames, no models, no configuration.
"""
