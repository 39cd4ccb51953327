"""Order management: every order's state, its journal, limits and reconciliation; without sockets and clocks."""
