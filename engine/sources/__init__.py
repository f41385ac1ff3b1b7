"""Sources: everything frames come from. `base.Source` is the contract; each other file is one kind of source."""
