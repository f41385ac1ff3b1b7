"""Names of the overlay's styles: what of a result is drawn into its picture."""

from __future__ import annotations

OVERLAY_STYLES = {
    "full": "masks, boxes, labels, trails, zones and lines, status",
    "boxes": "boxes, labels, zones and lines, status",
    "masks": "masks, labels, zones and lines, status",
    "outline": "the outline of each mask (the box where there is none), labels, zones and lines, status",
    "minimal": "corners of boxes and IDs",
    "trails": "where each object has been, a dot where it is, labels, zones and lines, status",
    "spotlight": "everything but the objects darkened, labels",
    "privacy": "persons pixelated beyond recognition, boxes, labels, zones and lines, status",
    "none": "nothing",
}
"""What each style draws."""
DEFAULT_OVERLAY_STYLE = "full"
