"""What pages show, read in a bounded number of queries and handed over as frozen values."""

from __future__ import annotations
