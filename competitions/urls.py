"""Addresses of the pages."""

from __future__ import annotations

from django.urls import path

from competitions.views.home import home

urlpatterns = [
    path("", home, name="home"),
]
