"""Reports of runs: one page of HTML that opens anywhere."""
