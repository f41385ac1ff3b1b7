"""Heads: what the outputs of a detector mean. One file per family; a new head is one new file here.

A head is recognised from the graph (`base.recognise`), says how its pixels are prepared and turns outputs into
boxes in input pixels. Heads know arrays only: no runtime, no frames, no thresholds but the confidence.
"""
