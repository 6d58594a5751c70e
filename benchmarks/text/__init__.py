"""Where texts are cut, measured on texts with marked cuts and borders."""
