"""Several processes, on several GPUs or machines, that train one network together.

`torchrun` starts the processes and tells each its place; process 0 leads: it alone judges, reports
and writes. Every process takes its share of every batch, so batch, steps, learning rate and the
meaning of a result are those of one process.

Gradients are summed explicitly, once per step, in one flat tensor, rather than by PyTorch's
`DistributedDataParallel`. A sandwich step runs several subnets, each of which leaves other
parameters unused, before one update. DDP can do that (`no_sync` for all passes but the last, and
`find_unused_parameters`), with the same result, but it walks the graph of every pass to find what
was unused, exchanges a map of it, and weights all processes alike although their shares may differ
by an image. Here every process runs the same subnets, seeded by the step, so the same parameters
have a gradient everywhere; the others have none anywhere and are left alone, as in one process.
What DDP would add is communication during the backward pass, which these networks of a few
megabytes do not need.

Batch norm normalises a share by the share's own statistics, as DDP does. The running ones are those
of process 0: no candidate uses them, since each is recalibrated.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

import torch
from torch import Tensor, distributed
from torch.nn import Parameter

from hybrid_nas.errors import HybridNasError, InputError
from hybrid_nas.supernet.checkpoint import to_bytes
from hybrid_nas.supernet.device import choose_device
from hybrid_nas.threads import cores

_PLACE = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
# A process that dies is noticed at once, by its closed connections. This is for one that waits
# while process 0 judges a round, or reads a large data set for the first time.
_PATIENCE = timedelta(hours=2)


class WordOfMouth(Protocol):
    """Counts for all processes: what we need of `torch.distributed.Store`."""

    def add(self, key: str, amount: int, /) -> int:
        """Add to a number that all share, and give the sum."""


class LostProcessError(HybridNasError):
    """Another process of the team ended in the middle of the work."""


@dataclass(frozen=True)
class Team:
    """This process's place among those that train together; all methods are trivial when alone.

    Every method but `rows` and `may_speak` is a meeting: each process must call it, in the same
    order.

    Attributes:
        rank: 0 leads.
        size: processes in all.
        local_size: processes on this machine.
        store: where processes leave word for each other; None when alone.

    Raises:
        LostProcessError: by every meeting to which a process does not come because it has ended.
    """

    rank: int = 0
    size: int = 1
    local_size: int = 1
    store: WordOfMouth | None = field(default=None, repr=False, compare=False)

    @property
    def leads(self) -> bool:
        """Whether this is the process that judges, reports and writes."""
        return self.rank == 0

    @property
    def threads(self) -> int:
        """CPU threads for this process: an equal part of the machine's cores."""
        return max(1, cores() // self.local_size)

    def rows(self, n: int) -> range:
        """This process's rows of `n`, dealt like cards: every kind of row is spread evenly."""
        return range(self.rank, n, self.size)

    def sum_gradients(self, parameters: Iterable[Parameter]) -> None:
        """Replace every gradient by its sum over the processes."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        with _meeting():
            distributed.all_reduce(flat)
        parts = flat.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def sums(self, *values: float) -> tuple[float, ...]:
        """The sum of each value over the processes, in float64."""
        if self.size == 1:
            return values
        found = torch.tensor(values, dtype=torch.float64)
        with _meeting():
            distributed.all_reduce(found)
        return tuple(found.tolist())

    def fraction(self, value: float) -> float:
        """What part this process's value, above 0, is of the sum of all."""
        return 1.0 if self.size == 1 else value / self.sums(value)[0]

    def any(self, flag: bool) -> bool:
        """Whether it is true for any process."""
        return self.sums(float(flag))[0] > 0

    def spread(self, tensors: Sequence[Tensor], source: int) -> None:
        """Overwrite contiguous CPU tensors by those of process `source`, of the same shapes."""
        if self.size == 1:
            return
        with _meeting():
            for tensor in tensors:
                distributed.broadcast(tensor, source)

    def share(self, document: Mapping[str, Any] | None) -> dict[str, Any]:
        """The leader's document of tensors and plain values; what others give is not looked at."""
        if self.leads:
            assert document is not None
            if self.size == 1:
                return dict(document)
            content = bytearray(to_bytes(document))
            self.spread([torch.tensor([len(content)])], 0)
        else:
            length = torch.zeros(1, dtype=torch.int64)
            self.spread([length], 0)
            content = bytearray(int(length))
        self.spread([torch.frombuffer(content, dtype=torch.uint8)], 0)
        found: dict[str, Any] = torch.load(
            io.BytesIO(content), map_location="cpu", weights_only=True
        )
        return found

    def may_speak(self) -> bool:
        """Whether no other process has said yet why the work failed; asking takes the word.

        What fails on one process soon fails on all, if only because that one is missing; people
        want to read the first reason once.
        """
        if self.store is None:
            return True
        try:
            return self.store.add("hybrid-nas/spoken", 1) == 1
        except RuntimeError:  # the store went away with its machine
            return True


ALONE = Team()
"""The one process of a program that was started without `torchrun`."""


@contextmanager
def join_team() -> Iterator[Team]:
    """The processes that `torchrun` started with this one, until the end of the block.

    Gradients on GPUs go by nccl; everything else goes by gloo. Without `torchrun` this is `ALONE`,
    at no cost.

    Raises:
        HybridNasError: the processes do not find each other.
    """
    size = int(os.environ["WORLD_SIZE"]) if all(map(os.environ.get, _PLACE)) else 1
    if size == 1:
        yield ALONE
        return
    team = _connect()
    try:
        yield team
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def _connect() -> Team:
    from torch.distributed.rendezvous import rendezvous

    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        store, rank, size = next(iter(rendezvous("env://", timeout=_PATIENCE)))
        distributed.init_process_group(
            backend,
            store=store,
            rank=rank,
            world_size=size,
            timeout=_PATIENCE,
        )
    except (RuntimeError, ValueError) as error:
        raise HybridNasError(f"the processes do not find each other: {_brief(error)}") from error
    return Team(rank, size, int(os.environ["LOCAL_WORLD_SIZE"]), store)


def choose_team_device(team: Team, wanted: str) -> str:
    """``cpu`` or ``cuda``, the same for all; ``cuda`` then is the GPU of the local rank.

    Args:
        team: asks all its processes.
        wanted: as `hybrid_nas.supernet.device.choose_device` takes it.

    Raises:
        InputError: there are fewer GPUs than processes on this machine, or some processes would
            train on GPUs and some on CPUs.
    """
    device = choose_device(wanted)
    if team.size == 1:
        return device
    if device == "cuda":
        gpus = torch.cuda.device_count()
        if gpus < team.local_size:
            raise InputError(
                f"{team.local_size} processes were started on a machine with {gpus} GPUs: give "
                f"torchrun --nproc-per-node {gpus}, or --device cpu"
            )
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    (with_gpu,) = team.sums(float(device == "cuda"))
    if with_gpu not in (0, team.size):
        raise InputError(
            f"{with_gpu:g} of {team.size} processes have a GPU: give --device cpu, or only "
            "machines with GPUs"
        )
    return device


@contextmanager
def _meeting() -> Iterator[None]:
    """Says in a line of ours that a process is missing, which torch tells as a RuntimeError."""
    try:
        yield
    except RuntimeError as error:
        raise LostProcessError(
            "another process of this training has ended, so this one ends too; the same command "
            f"goes on from the last checkpoint ({_brief(error)})"
        ) from error


def _brief(error: Exception, characters: int = 100) -> str:
    return " ".join(str(error).split())[:characters]
