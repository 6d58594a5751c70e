"""Files to passages: which files are meant (`sources`), what is in them (`files`), and where they are cut (`cut`).

Flows in: names on a command line. Flows out: passages that know their source. Front door: `files.read_passages`.
"""
