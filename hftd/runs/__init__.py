"""What a run leaves while it is not over: blocks that are written as they come."""
