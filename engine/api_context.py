"""What the program's own worker knows of the run: as every worker does, in a process that is not the engine's."""

from __future__ import annotations

from engine.clock import SystemClock
from engine.workers.runtime import Context
from ipc.channel import Channel, ChannelClosed, Message
from ipc.notify import Notifier


class CallerContext(Context):
    """A worker's view of the run, in a process that does not belong to the engine: it never ends that process."""

    def __init__(self, channel: Channel, start: Message, wake: Notifier) -> None:
        super().__init__(channel, start, wake, SystemClock())
        self.hosted = True  # memory and processor time are the program's, and not told
        self.stop_grace_s = None
        self.hung_up = False

    def listen(self) -> None:
        """Receive messages until the supervisor hangs up, or we do."""
        while True:
            try:
                message, descriptors = self._channel.receive()
            except ChannelClosed:
                self.hung_up = True
                self.wake.notify()
                return
            if message["type"] == "answer":
                self.on_answer(message)
            else:
                self.deliver(message, descriptors)
