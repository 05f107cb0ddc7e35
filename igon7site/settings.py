"""Django's settings. What an operator may change comes from the environment or .env, typed."""

from __future__ import annotations

import os
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.utils.translation import gettext_lazy as _

from igon7site.env import Env
from igon7site.setup.database import database
from igon7site.setup.redis import redis_cache
from igon7site.setup.secret import secret_key, secret_keys
from igon7site.setup.static import fingerprint

BASE_DIR = Path(__file__).resolve().parent.parent
env = Env.load(Path(os.environ.get("IGON7_ENV_FILE") or BASE_DIR / ".env"))

VAR = env.path("IGON7_VAR", BASE_DIR / "var")  # all that this installation writes to disk
VAR.mkdir(parents=True, exist_ok=True)

# --- Who may talk to it -----------------------------------------------------------------------------------
_LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}

DEBUG = env.bool_("IGON7_DEBUG", False)
SECRET_KEY = env.str_("IGON7_SECRET_KEY", None) or secret_key(VAR / "secret_key")
SECRET_KEY_FALLBACKS = env.list_("IGON7_SECRET_KEY_FALLBACKS")  # former keys: believed, not signed with
ALLOWED_HOSTS = env.list_("IGON7_ALLOWED_HOSTS", sorted(_LOOPBACK))
CSRF_TRUSTED_ORIGINS = env.list_("IGON7_TRUSTED_ORIGINS")

# Cookies that travel over https alone would never come back to http://127.0.0.1.
_ONLY_THIS_MACHINE = _LOOPBACK.issuperset(ALLOWED_HOSTS)
HTTPS = env.bool_("IGON7_HTTPS", not _ONLY_THIS_MACHINE)
BEHIND_PROXY = env.bool_(
    "IGON7_BEHIND_PROXY", False
)  # which sets X-Forwarded-Proto, and lets nobody else do so
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = int(env.duration("IGON7_HSTS", 365 * 24 * 3600)) if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
if _ONLY_THIS_MACHINE:  # what `check --deploy` asks of https has no bearing on loopback
    SILENCED_SYSTEM_CHECKS = ["security.W004", "security.W008", "security.W012", "security.W016"]
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
if HTTPS:  # browsers take these names from this very host alone: no sibling domain can plant them
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
SESSION_COOKIE_AGE = int(env.duration("IGON7_SESSION_AGE", 14 * 24 * 3600))
X_FRAME_OPTIONS = "DENY"

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # first: who is locked out is not asked for a password
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
    "orchestration.grants.TagGrantBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
# Ten failures for one account from one address, and neither is listened to for a quarter of an hour.
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_CALLABLE = "security.web.views.locked_out"
AXES_DISABLE_ACCESS_LOG = True  # the audit has every login
AXES_VERBOSE = False
OTP_TOTP_ISSUER = "igon7"
OTP_TOTP_THROTTLE_FACTOR = 1
# A passkey is for the host that the request came to.
OTP_WEBAUTHN_HELPER_CLASS = "security.passkeys.Helper"
OTP_WEBAUTHN_RP_ID_CALLABLE = "security.passkeys.relying_party"
OTP_WEBAUTHN_RP_NAME = "igon7"
OTP_WEBAUTHN_ALLOWED_ORIGINS = [
    "https://localhost"
]  # the library's check wants one; Helper goes by the request
SESSION_ENGINE = "security.sessions"
ANONYMOUS_USER_NAME = None  # guardian would else make a user that stands for nobody
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"

# --- What it is made of -----------------------------------------------------------------------------------
DEMO = env.bool_("IGON7_DEMO", True)
INSTALLED_APPS = [
    "igon7site",
    "monitoring",
    "orchestration",
    "security",
    *(["igon7site.demo"] if DEMO else []),
    "igon7site.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "axes",
    "channels",
    "django_htmx",
    "django_otp",
    "django_otp.plugins.otp_static",
    "django_otp.plugins.otp_totp",
    "django_otp_webauthn",
    "django_q",
    "guardian",
    "rest_framework",
    "rest_framework.authtoken",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.gzip.GZipMiddleware",  # its padding answers BREACH
    "security.middleware.ContentSecurityPolicyMiddleware",
    "igon7site.setup.static.StaticFilesMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "security.middleware.AccountMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "igon7site.urls"
ASGI_APPLICATION = "igon7site.asgi.application"
WSGI_APPLICATION = "igon7site.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- Where it keeps things --------------------------------------------------------------------------------
DATABASES = {"default": database(env.str_("DATABASE_URL", f"sqlite:///{VAR / 'igon7.sqlite3'}"))}

REDIS_URL = env.url("REDIS_URL", schemes=("redis", "rediss", "unix"))
# Neither unpickles what it reads: a table in the database, or Redis, both with JSON in them.
_TABLE: dict[str, Any] = {"BACKEND": "orchestration.caching.table.TableCache"}
CACHES = dict.fromkeys(("default", "redis"), redis_cache(REDIS_URL)) if REDIS_URL else {"default": _TABLE}

MEDIA_ROOT = env.path("IGON7_MEDIA", VAR / "media")
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
FILE_UPLOAD_PERMISSIONS = 0o600

STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_ALLOW_ALL_ORIGINS = False
if DEBUG:
    STATIC_URL = "/static/"
else:
    # Third-party files change with requirements.txt, ours with themselves: so what a URL gives never changes,
    # browsers keep it for good, and nothing has to be collected or rewritten before a start.
    _print = fingerprint(
        [*STATICFILES_DIRS, *BASE_DIR.glob("*/static"), *BASE_DIR.glob("igon7site/*/static")],
        also=[BASE_DIR / "requirements.txt"],
    )
    STATIC_URL = f"/static/{_print}/"
    WHITENOISE_IMMUTABLE_FILE_TEST = ".*"

# --- Language and time ------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("fr", _("French"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True

# --- The API ----------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        # First: its challenge makes an unauthenticated answer 401, where a session's alone would be 403.
        "rest_framework.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "EXCEPTION_HANDLER": "orchestration.api.errors.handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
# A payload at its limit, base64 or escapes around it, still arrives: the limit that answers is igon7's own.
IGON7_PAYLOAD_LIMIT = env.int_("IGON7_PAYLOAD_LIMIT", 2 * 1024 * 1024, at_least=1024)
IGON7_CACHE_LIMIT = env.int_("IGON7_CACHE_LIMIT", IGON7_PAYLOAD_LIMIT, at_least=1)  # of one cached result
IGON7_STATE_LIMIT = env.int_("IGON7_STATE_LIMIT", 256 * 1024, at_least=1)  # of one value that bodies share
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * IGON7_PAYLOAD_LIMIT

# --- E-mail -----------------------------------------------------------------------------------------------
IGON7_EMAIL_URL = env.url("IGON7_EMAIL_URL", schemes=("smtp", "smtps", "smtp+tls"))
DEFAULT_FROM_EMAIL = env.str_("IGON7_EMAIL_FROM", "igon7@localhost")
if IGON7_EMAIL_URL:
    _mail = urlsplit(IGON7_EMAIL_URL)
    EMAIL_HOST, EMAIL_PORT = (
        _mail.hostname or "localhost",
        _mail.port or (465 if _mail.scheme == "smtps" else 25),
    )
    EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = unquote(_mail.username or ""), unquote(_mail.password or "")
    EMAIL_USE_SSL, EMAIL_USE_TLS = _mail.scheme == "smtps", _mail.scheme == "smtp+tls"
    EMAIL_TIMEOUT = 10
else:
    EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"

# --- The audit ---------------------------------------------------------------------------------------------
IGON7_AUDIT_KEY = (
    env.str_("IGON7_AUDIT_KEY", None) or ""
)  # signs the chain's heads; without one, var/audit_key does
IGON7_AUDIT_HEADS = env.path("IGON7_AUDIT_HEADS", VAR / "audit_heads.jsonl")
IGON7_AUDIT_ARCHIVE = env.path("IGON7_AUDIT_ARCHIVE", VAR / "audit_archive")

# --- Secrets -----------------------------------------------------------------------------------------------
IGON7_SECRET_KEYS = env.list_("IGON7_SECRET_KEYS") or secret_keys(VAR / "secret_keys")  # the first encrypts
IGON7_SECRETS_BACKENDS = env.list_("IGON7_SECRETS_BACKENDS", ["database", "environment", "files"])
IGON7_SECRETS_DIR = env.str_("IGON7_SECRETS_DIR", "")

# --- The runner -------------------------------------------------------------------------------------------
IGON7_LEASE_SECONDS = env.duration("IGON7_LEASE_SECONDS", 30)
IGON7_QUEUES = env.list_("IGON7_QUEUES", ["default"])
IGON7_WORKFLOWS = env.list_("IGON7_WORKFLOWS")  # modules or folders besides the apps' workflows.py
IGON7_CHILD_DEPTH = env.int_(
    "IGON7_CHILD_DEPTH", 32, at_least=1
)  # executions below one that a person started
IGON7_WORKERS = env.int_("IGON7_WORKERS", 2, at_least=1)
IGON7_BULK_LIMIT = env.int_("IGON7_BULK_LIMIT", 10_000, at_least=1)  # executions of one bulk act
IGON7_BULK_RATE = env.int_(
    "IGON7_BULK_RATE", 100, at_least=1
)  # of them a second, whatever the number of clusters
IGON7_EVENT_RETENTION = env.duration("IGON7_EVENT_RETENTION", 30 * 24 * 3600)  # for which events are kept
IGON7_EVENT_HOPS = env.int_(
    "IGON7_EVENT_HOPS", 16, at_least=1
)  # executions, each started by the last one's event
IGON7_WEB_CONNECTIONS = env.int_("IGON7_WEB_CONNECTIONS", 16, at_least=1)  # of one web process, on PostgreSQL

# django-q2 carries seats and nothing else: nothing is saved, scheduled or timed by it.
Q_CLUSTER = {
    "name": "igon7",
    "broker_class": "orchestration.runner.broker.SeatBroker",
    "workers": IGON7_WORKERS,
    "timeout": None,
    "retry": 10**9,
    "recycle": 10**9,
    "save_limit": -1,
    "scheduler": False,
    "catch_up": False,
    "log_level": "WARNING",
    "ALT_CLUSTERS": {},
}
# Its warning means tasks that it would hand out twice; a seat is not a task that comes back.
warnings.filterwarnings("ignore", "Retry and timeout are misconfigured")

# --- Logs: one line each, to stderr -----------------------------------------------------------------------
LOG_LEVEL = env.str_("IGON7_LOG_LEVEL", "INFO").upper()
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "security.masking.MaskingFormatter",
            "format": "{asctime} {levelname} {name}: {message}",
            "style": "{",
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        **{name: {"level": LOG_LEVEL} for name in ("igon7site", "monitoring", "orchestration", "security")},
        "django": {"handlers": [], "level": "WARNING"},
        "django-q": {"level": "WARNING"},
    },
}
