"""Whom to follow and how large: pure policies over what is seen, in world angles."""
