"""What commands run: processes, demos, local exchanges."""
