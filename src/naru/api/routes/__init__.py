"""One module per group of the Engine API: each route decodes, calls a service once, and encodes the answer."""
