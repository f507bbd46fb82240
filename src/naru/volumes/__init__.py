"""Named volumes: records, and the local driver."""
