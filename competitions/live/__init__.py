"""What reaches open pages: the bridge from writers, the hub, the rendered pieces."""

from __future__ import annotations
