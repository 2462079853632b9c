"""A file under load: how long people wait when several ask at once."""
