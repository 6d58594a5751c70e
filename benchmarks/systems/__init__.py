"""Every system that works here, on the same data with the same model, in one table."""
