"""Measurements of what agents use."""
