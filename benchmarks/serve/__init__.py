"""`fgr serve` and `fgr mcp` under load: honest clients, and a hostile one among them."""
