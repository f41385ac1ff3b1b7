"""camring: a real-time video engine. Cameras in; boxes, persistent IDs, JSON and processed video out."""

__version__ = "0.1.0"
