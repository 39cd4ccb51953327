"""Parameters of strategies: what is said of them, and how those of a running bot are changed."""
