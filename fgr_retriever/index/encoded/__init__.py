"""A corpus that is encoded in parts, by many machines, before one of them makes an index of it.

In: passages and a model (`writing.encode_shard`), later the folders of files that it wrote (`reading.EncodedCorpus`).
Out: files of token vectors, later passages and vectors for an index, which needs no model (`adding.add_encoded`).
"""
