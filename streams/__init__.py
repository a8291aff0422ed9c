"""What happens to events: pure stages without Kafka, clock or chance; imports only `schemas`."""
