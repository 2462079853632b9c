"""Two runs on the same examples: what differs, by how much, and whether that can be told at this n."""
