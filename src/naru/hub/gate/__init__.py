"""What the registry asks the hub: what is let through and counted, and what is said of what is stored."""
