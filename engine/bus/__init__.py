"""Results for other programs, over message brokers: MQTT with Home Assistant, NATS, Redis, Kafka."""
