"""Where the arena answers: pages, API, admin, login and health."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth import views as auth_views
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from arena_site import views
from arena_site.api import api
from arena_site.login import account
from arena_site.login.views import Login, admin_login, code_step

urlpatterns: list[URLPattern | URLResolver] = [
    # Before the admin's own: there is one login, and one way to change a password.
    path("admin/login/", admin_login, name="admin-login"),
    path("admin/password_change/", RedirectView.as_view(pattern_name="account-password")),
    path("admin/", admin.site.urls),
    path("api/v1/", api.urls),
    path("api/docs", views.api_docs, name="api-docs"),
    path("login/", Login.as_view(), name="login"),
    path("login/code/", code_step, name="login-code"),
    path("logout/", auth_views.LogoutView.as_view(), name="logout"),
    path("account/", account.account, name="account"),
    path("account/password/", account.password, name="account-password"),
    path("account/second-factor/", account.second_factor, name="second-factor"),
    path("account/second-factor/remove/", account.remove_factor, name="second-factor-remove"),
    path("account/backup-codes/", account.backup_codes, name="backup-codes"),
    path("account/sign-out-everywhere/", account.sign_out_everywhere, name="sign-out-everywhere"),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("favicon.ico", views.favicon, name="favicon"),
    path("", include("competitions.urls")),
]
