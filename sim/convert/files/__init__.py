"""Captures as files: unpacking, what a file is, and lines in the order of their times."""
