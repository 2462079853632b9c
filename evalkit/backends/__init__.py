"""Ways to get a completion: one OpenAI-protocol client, one file per kind of engine, and replay."""
