"""From examples to records: the order of requests, concurrency, the run folder, resuming."""
