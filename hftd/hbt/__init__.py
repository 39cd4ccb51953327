"""The object `hbt`: its memory, its rules, and the types that compiled strategies see."""
