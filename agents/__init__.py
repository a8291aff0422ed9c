"""Where it happens: Faust, Kafka, Prometheus, terminal and environment; the domain is in `streams`."""
