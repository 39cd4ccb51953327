"""The files of a journal: records and rows, the lock, how the next file takes its place, the parts that are left."""
