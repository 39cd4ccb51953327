"""What compiled readers of captures share: their state, lines, tables, and whole books."""
