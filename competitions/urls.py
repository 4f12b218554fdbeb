"""Addresses of the pages."""

from __future__ import annotations

from django.urls import path

from competitions.views.home import home
from competitions.views.ops import act, console
from competitions.views.season import competition, figures, leaderboard, participant, rules
from competitions.views.theme import theme
from competitions.views.trail import decision, round_page

urlpatterns = [
    path("", home, name="home"),
    path("theme/<slug:name>/", theme, name="theme"),
    path("ops/", console, name="ops"),
    path("ops/<slug:slug>/<slug:act>/", act, name="ops-act"),
    path("c/<slug:slug>/", competition, name="competition"),
    path("c/<slug:slug>/leaderboard/", leaderboard, name="leaderboard"),
    path("c/<slug:slug>/rules/", rules, name="rules"),
    path("c/<slug:slug>/figures/", figures, name="figures"),
    path("c/<slug:slug>/a/<slug:participant>/", participant, name="participant"),
    path("c/<slug:slug>/r/<int:number>/", round_page, name="round"),
    path("c/<slug:slug>/r/<int:number>/<slug:participant>/", decision, name="decision"),
]
