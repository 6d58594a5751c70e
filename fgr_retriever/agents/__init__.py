"""Evidence for agents: numbered, checkable, and over MCP.

In: an engine and a question. Out: numbered evidence that a model can cite. `evidence_search.EvidenceSearch` is the
front door; `citations.py` checks what a model wrote against it, `mcp_server.py` serves it to MCP clients.
"""
