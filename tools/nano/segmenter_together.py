"""Processes that train one model: each has its share of every batch, and all have the mean of their gradients.

On a CPU two processes of one thread each take half the time of one process of two, whose threads mostly wait for each
other: operations are small. Knows tensors; no model.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed

Tensor = Any
_LONGEST_WAIT = timedelta(minutes=10)  # the first process judges and saves, the others wait for it


class Together:
    """One process of `size`, the `rank`-th. Alone it leaves everything as it is."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @classmethod
    def meet(cls, rank: int, size: int, place: Path) -> Together:
        """Wait for the others, over loopback. place: a file that is not there yet, the same for all."""
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
        distributed.init_process_group(
            "gloo", init_method=f"file://{place.resolve()}", rank=rank, world_size=size, timeout=_LONGEST_WAIT
        )
        return cls(rank, size)

    def part(self) -> None:
        """The end of it: a process that ends without having said so may be aborted."""
        if self.size > 1:
            distributed.barrier()
            distributed.destroy_process_group()

    @property
    def first(self) -> bool:
        """Whether this one judges, saves and says how it goes."""
        return self.rank == 0

    def share(self, count: int) -> int:
        """This one's part of so many, rounded up."""
        return -(-count // self.size)

    def seeds(self, seed: int, step: int) -> tuple[int, ...]:
        """What this one's chance in a step comes from; the first one's is that of a process alone."""
        return (seed, step) if self.first else (seed, step, self.rank)

    def average_gradients(self, parameters: Iterable[Any]) -> None:
        """Everybody's gradients become their mean; none counts as zero."""
        if self.size == 1:
            return
        parameters = list(parameters)
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self.average([parameter.grad for parameter in parameters])

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Everybody's tensors, float32, become their mean, in place."""
        if self.size == 1:
            return
        with torch.no_grad():
            flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
            distributed.all_reduce(flat)
            flat /= self.size
            at = 0
            for tensor in tensors:
                tensor.copy_(flat[at : at + tensor.numel()].view(tensor.shape))
                at += tensor.numel()

    def anybody(self, said: bool) -> bool:
        """Whether one of them says so."""
        if self.size == 1:
            return said
        votes = torch.tensor([float(said)])
        distributed.all_reduce(votes)
        return bool(votes.item() > 0)
