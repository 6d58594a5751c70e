"""Texts and folders that nobody vouches for: how long they take, and what they break."""
