"""Index benchmark; see `__main__`."""
