"""What runs in child processes. Each imports next to nothing: the memory of an engine's child is a result."""
