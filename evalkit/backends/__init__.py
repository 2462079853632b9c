"""Ways to get a completion: one OpenAI-protocol client, one file per way of starting an engine, and replay."""
