"""Sources: everything frames come from. `base.Source` is the contract, the other files are the kinds."""
