"""Tracking: identities over time. `base.Tracker` is the contract."""
