"""Live: connectors to exchanges, and the command line."""
