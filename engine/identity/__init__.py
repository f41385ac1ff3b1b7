"""Who was here before: identities that left, remembered by their looks, and what may be remembered of whom.

Pure policy: looks (unit vectors) and times go in, IDs come out. No clock, no threads, no I/O; it knows neither trackers
nor pools. `engine.workers.track` owns one `Gallery` for all cameras of a run and an `Arrivals` for each of them.
"""
