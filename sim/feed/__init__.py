"""Archives in the form that the engine reads: made once, kept in a cache, mapped into memory block by block."""
