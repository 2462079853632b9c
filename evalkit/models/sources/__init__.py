"""One file per kind of source, named after its key in a model config's `source`.

Each has `fetch(model) -> Fetched`: it returns the file from the cache or downloads it there first.
A new kind is a new file here and nothing else.
"""
