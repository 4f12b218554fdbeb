"""Where sockets answer."""

from __future__ import annotations

from django.urls import path

from competitions.consumers import competition_socket

websocket_urlpatterns = [
    path("ws/competitions/<slug:slug>/", competition_socket),  # type: ignore[arg-type]  # an ASGI application
]
