"""The HTTP side: health and metrics. Holds no frame logic."""
