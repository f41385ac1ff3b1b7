"""A camera that is not there: mechanics, optics, accounts and faults of real ones, and a world to look at."""
