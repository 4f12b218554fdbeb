"""The account's arithmetic: pure, deterministic, Decimal, time passed in."""
