"""Coming in: password, second factor, lockouts, how long a session holds, and the account's own page."""
