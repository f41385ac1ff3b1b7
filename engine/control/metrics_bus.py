"""Message brokers as Prometheus metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from engine.control.status_receivers import BrokerStatus, BusStatus


def bus_metrics(status: BusStatus) -> Iterator[Metric]:
    """What has gone to brokers, what waits for them and what they were not sent."""
    brokers = status["brokers"]

    def by(name: str, help_text: str, label: str, counts: Callable[[BrokerStatus], dict[str, int]]) -> Metric:
        family = CounterMetricFamily(f"camring_bus_{name}", help_text, labels=["broker", label])
        for broker, told in brokers.items():
            for key, count in sorted(counts(told).items()):
                family.add_metric([broker, key], count)
        return family

    connected = GaugeMetricFamily(
        "camring_bus_connected", "1 while the broker is connected.", labels=["broker"]
    )
    reconnects = CounterMetricFamily(
        "camring_bus_reconnects", "How often the broker was connected again.", labels=["broker"]
    )
    queue = GaugeMetricFamily(
        "camring_bus_queue_messages", "Messages that wait for the broker.", labels=["broker", "kind"]
    )
    for broker, told in brokers.items():
        connected.add_metric([broker], float(told["state"] == "connected"))
        reconnects.add_metric([broker], told["reconnects"])
        for kind, count in told["queue"].items():
            queue.add_metric([broker, kind], count)
    yield from (connected, reconnects, queue)
    yield by("messages", "Messages that the broker has confirmed.", "kind", lambda told: told["sent"])
    yield by("dropped", "Messages that it was not sent, by reason.", "reason", lambda told: told["dropped"])
    lost = CounterMetricFamily(
        "camring_bus_lost", "Records overwritten before they could be read for brokers.", labels=["camera"]
    )
    for camera, count in status["lost"].items():
        lost.add_metric([camera], count)
    yield lost
