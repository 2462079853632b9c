"""One module a rule: its docstring defines it, its function `score` applies it."""
