"""Addresses of the pages."""

from __future__ import annotations

from django.urls import path

from competitions.views import ops, season, trail
from competitions.views.home import home
from competitions.views.theme import theme

urlpatterns = [
    path("", home, name="home"),
    path("theme/<slug:name>/", theme, name="theme"),
    path("ops/", ops.console, name="ops"),
    path("ops/<slug:slug>/<slug:act>/", ops.act, name="ops-act"),
    path("c/<slug:slug>/", season.competition, name="competition"),
    path("c/<slug:slug>/leaderboard/", season.leaderboard, name="leaderboard"),
    path("c/<slug:slug>/rules/", season.rules, name="rules"),
    path("c/<slug:slug>/figures/", season.figures, name="figures"),
    path("c/<slug:slug>/a/<slug:participant>/", season.participant, name="participant"),
    path("c/<slug:slug>/r/<int:number>/", trail.round_page, name="round"),
    path("c/<slug:slug>/r/<int:number>/<slug:participant>/", trail.decision, name="decision"),
]
