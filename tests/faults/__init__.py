"""The whole product under faults: real broker, real workers, and every output compared with a replay."""
