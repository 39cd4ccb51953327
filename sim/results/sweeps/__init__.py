"""What a sweep says: how much of its best point is luck, and a page of it."""
