"""The static site of the results: pages, tables and an example browser that open from disk."""
