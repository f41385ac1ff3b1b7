"""Outputs: everything results go to. `base.Output` is the contract."""
