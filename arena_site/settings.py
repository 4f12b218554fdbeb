"""The arena's settings: one module, shaped by DATABASE_URL and REDIS_URL.

Every variable is listed in ``.env.example``.
"""

from __future__ import annotations

import contextlib
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

import django_stubs_ext

from arena_site import env

# ModelAdmin[Model] and QuerySet[Model] fail at run time without it.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent

env.load_env_file(BASE_DIR / ".env")
env.load_secret_files()
env.refuse_unknown()

# Core ---------------------------------------------------------------------------------------

DEBUG = env.flag("DEBUG")
SECRET_KEY_IS_SET = bool(env.text("SECRET_KEY"))
# A key of the moment is safe, but ends every session at a restart; check arena.E001 tells so.
SECRET_KEY = env.text("SECRET_KEY") or secrets.token_urlsafe(50)
SECRET_KEY_FALLBACKS = env.names("SECRET_KEY_FALLBACKS")
ALLOWED_HOSTS = env.names("ALLOWED_HOSTS", default=("127.0.0.1", "localhost", "[::1]"))
PORT = env.integer("PORT", 8000, minimum=1, maximum=65535)
LOG_LEVEL = env.choice(
    "LOG_LEVEL", "INFO", options=("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
)

ARENA_ALLOW_LIVE = env.flag("ARENA_ALLOW_LIVE")
# Fernet keys for secrets at rest, newest first, comma-separated; empty when not set.
ARENA_ENCRYPTION_KEYS = env.names("ARENA_ENCRYPTION_KEY")
VAR_DIR = Path(env.text("ARENA_VAR_DIR", str(BASE_DIR / "var")))
# Where it cannot be made, check arena.E005 says so if it is needed.
with contextlib.suppress(OSError):
    VAR_DIR.mkdir(parents=True, exist_ok=True)

ROOT_URLCONF = "arena_site.urls"
ASGI_APPLICATION = "arena_site.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "daphne",
    "whitenoise.runserver_nostatic",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_htmx",
    "csp",
    "axes",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    # For the files of its API page.
    "ninja",
    "marketdata",
    "trading",
    "agents",
    "competitions",
    "arena_site",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "arena_site.login.middleware.SessionAge",
    "arena_site.login.middleware.SecondFactorGate",
    # Last, so that it can replace any answer by that of a lockout.
    "axes.middleware.AxesMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
LANGUAGE_CODE = "en"

# Storage ------------------------------------------------------------------------------------

DATABASES: dict[str, dict[str, Any]] = {
    "default": env.database("DATABASE_URL", default=VAR_DIR / "arena.sqlite3")
}
REDIS_URL = env.address("REDIS_URL", schemes=("redis", "rediss", "unix"))

if REDIS_URL:
    CACHES: dict[str, dict[str, Any]] = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": "arena",
        }
    }
    CHANNEL_LAYERS: dict[str, dict[str, Any]] = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [{"address": REDIS_URL, "max_connections": 50}]},
        }
    }
else:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

# Background work ----------------------------------------------------------------------------

CELERY_BROKER_URL = REDIS_URL or "memory://localhost//"
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = (
    {
        # Longer than any round: a slow turn is not handed out twice.
        "visibility_timeout": 12 * 3600,
        "max_connections": 50,
        # A Redis that vanished without a word is noticed within eleven seconds.
        "socket_connect_timeout": 5,
        "socket_timeout": 10,
        "socket_keepalive": True,
        "health_check_interval": 5,
        "retry_on_timeout": True,
    }
    if REDIS_URL
    else {"polling_interval": 0.05}
)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Redis may be away for as long as it likes.
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# What is running goes on: its rows are there, though its message is gone.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False

# Users and security -------------------------------------------------------------------------

LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/ops/"
LOGOUT_REDIRECT_URL = "/"

# The first one refuses what is locked, before a password is looked at.
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
    "arena_site.rights.RoleBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# Guesses at a password: so many wrong ones under one name from one address, and so many under one
# name from everywhere, then nothing is looked at for a while.
AXES_HANDLER = "arena_site.login.attempts.AttemptHandler"
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"], "username"]
AXES_FAILURE_LIMIT = 5
FAILURE_LIMIT_OF_NAME = 20
AXES_COOLOFF_TIME = timedelta(minutes=15)
# Guesses during a lockout do not prolong it: a stranger could lock somebody out for good.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_CLIENT_IP_CALLABLE = "arena_site.login.attempts.client_address"
AXES_CLIENT_STR_CALLABLE = "arena_site.login.attempts.client_words"
AXES_LOCKOUT_CALLABLE = "arena_site.login.attempts.locked_out"
# What is kept of a failed attempt holds no secret.
AXES_SENSITIVE_PARAMETERS = [
    "username",
    "ip_address",
    "code",
    "again_password",
    "again_code",
    "new_password1",
    "new_password2",
    "csrfmiddlewaretoken",
]
# The admin shows the attempts in its own way: arena_site.admin.
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

# Second factor: an authenticator app, mandatory for staff if wanted.
REQUIRE_TOTP = env.flag("ARENA_REQUIRE_TOTP")
OTP_TOTP_ISSUER = "Arena"
OTP_ADMIN_HIDE_SENSITIVE_DATA = True

# The arena speaks plain HTTP; with ARENA_HTTPS=1 a proxy in front of it speaks TLS.
HTTPS = env.flag("ARENA_HTTPS")
PROXY_COUNT = env.integer("ARENA_PROXY_COUNT", 1 if HTTPS else 0, minimum=0, maximum=10)
NINJA_NUM_PROXIES = PROXY_COUNT
if PROXY_COUNT:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

SESSION_COOKIE_NAME = "__Host-sessionid" if HTTPS else "sessionid"
SESSION_COOKIE_AGE = 12 * 3600
STAFF_IDLE_SECONDS = 30 * 60
SESSION_COOKIE_SECURE = HTTPS
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = "__Host-csrftoken" if HTTPS else "csrftoken"
CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

# Nothing inline and nothing from elsewhere, the admin included. A socket to the same origin is
# covered by 'self'.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "manifest-src": ["'self'"],
    }
}

# Static files -------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Named by a container image, where collectstatic has filled it with hashed, compressed files.
# Not named: straight from the source tree, scanned once at the start.
_COLLECTED = env.text("ARENA_STATIC_ROOT")
STATIC_ROOT = Path(_COLLECTED) if _COLLECTED else None
WHITENOISE_USE_FINDERS = not _COLLECTED
WHITENOISE_AUTOREFRESH = DEBUG
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": (
            "whitenoise.storage.CompressedManifestStaticFilesStorage"
            if _COLLECTED
            else "django.contrib.staticfiles.storage.StaticFilesStorage"
        )
    },
}

# Outside services ---------------------------------------------------------------------------

BINANCE_FAPI_BASE_URL = env.address(
    "BINANCE_FAPI_BASE_URL", "https://fapi.binance.com", schemes=("https", "http")
)
BINANCE_FSTREAM_BASE_URL = env.address(
    "BINANCE_FSTREAM_BASE_URL", "wss://fstream.binance.com", schemes=("wss", "ws")
)

DEFAULT_EXCEPTION_REPORTER = "arena_site.secrecy.CautiousReporter"

# Logging ------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "arena_site.logs.OneLineFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        # Django's own handlers would print a record twice.
        "django": {"handlers": [], "level": LOG_LEVEL, "propagate": True},
        "django.server": {"handlers": [], "propagate": True},
        # At DEBUG it writes down the whole context of a missing variable, session cookies included.
        "django.template": {"level": "INFO"},
        # One line per request and frame is noise.
        "daphne": {"level": "WARNING"},
        "django.channels.server": {"level": "WARNING"},
        "axes": {"level": "WARNING"},
        # At DEBUG they write down whole requests, prompts included, and what a provider answers.
        "anthropic": {"level": "INFO"},
        "openai": {"level": "INFO"},
        "httpx2": {"level": "WARNING"},
        "httpcore2": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
    },
}
