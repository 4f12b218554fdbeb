"""Plain facts of markets: no Django, no network, no clock."""
