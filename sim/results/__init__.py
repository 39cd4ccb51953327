"""What a run came to: reports, why orders filled, and two runs side by side."""
