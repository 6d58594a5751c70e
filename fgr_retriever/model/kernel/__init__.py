"""Steps of search and evidence in C, for where the package was built with a compiler; their twins in Python are slower.

`candidates.c`, `sieve.c` and `scores.c` search, `head.c` reads evidence, `library.py` calls them.
"""
