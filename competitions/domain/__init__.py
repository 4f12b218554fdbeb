"""Seasons and rounds as plain values: slots, contracts, digests."""
