"""Published and own scoring rules, one a file: a pure function `score(output, gold)` and its source."""
