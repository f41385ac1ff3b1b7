"""Frame and result transport between processes: shared slot pools with leases.

One producer writes a slot, any number of consumers read that very memory. Every change of state is one
aligned 64-bit store under a lock that the kernel frees when its holder dies, so a process may be killed
between any two instructions and there is nothing to repair. `docs/ipc.md` explains the design.

    segment     anonymous shared memory that is allocated in full, or refused with a clear error
    lock        mutual exclusion that dies with its holder
    notify      coalescing wake-up between processes
    channel     messages with descriptors between parent and child
    pool        the slot pool: layout, producer, consumer, lease, reaping, statistics

This package imports nothing else of the project. It does not know what a frame is.
"""
