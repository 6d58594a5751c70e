"""An index in a Qdrant collection, measured in Qdrant's own core in this process; there is no server here."""
