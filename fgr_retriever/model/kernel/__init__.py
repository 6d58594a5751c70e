"""The steps of a search in C, for where the package was built with a compiler; without, the same in Python is slower.

`candidates.c` and `scores.c` have the steps, `library.py` calls them.
"""
