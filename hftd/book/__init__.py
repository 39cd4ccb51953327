"""Order books in compiled code: by level, fused from several streams, and order by order."""
