"""From scores to what people read: results.json, tables."""
