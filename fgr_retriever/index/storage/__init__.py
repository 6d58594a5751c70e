"""What lies on disk: every file of an index, its transactions, and its repair.

In: passages with token vectors. Out: a `snapshot.Snapshot`, one state of the index that never changes. The front
door is `store.Store`. Vectors are in segments, everything else is in one SQLite database, whose commit decides
what exists.
"""
