"""The collector: raw messages of exchanges, to disk."""
