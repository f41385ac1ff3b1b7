"""Processed video for media servers, folders and browsers, from packets that are encoded already. Encodes nothing."""
