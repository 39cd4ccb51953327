"""How well orders are executed: how they end, how long requests take, what fills are worth some time later."""
