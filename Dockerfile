# One image for every part of the arena: web, workers, beat and feed.
FROM python:3.11-slim AS build
WORKDIR /app
RUN python -m venv /opt/arena
COPY requirements.txt .
RUN /opt/arena/bin/pip install --no-cache-dir --disable-pip-version-check -r requirements.txt

FROM python:3.11-slim
ENV PATH=/opt/arena/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DJANGO_SETTINGS_MODULE=arena_site.settings \
    ARENA_STATIC_ROOT=/app/collected \
    ARENA_VAR_DIR=/tmp/arena
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin arena
WORKDIR /app
COPY --from=build /opt/arena /opt/arena
COPY manage.py pyproject.toml CHANGELOG.md LICENSE ./
COPY arena_site arena_site
COPY competitions competitions
COPY agents agents
COPY trading trading
COPY marketdata marketdata
COPY templates templates
COPY static static
# Hashed and compressed once, here; a running container writes nowhere but /tmp.
RUN python -m compileall -q arena_site competitions agents trading marketdata /opt/arena/lib \
    && DATABASE_URL=sqlite:////tmp/build.sqlite3 python manage.py collectstatic --noinput --verbosity 0
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
CMD ["daphne", "--bind", "0.0.0.0", "--port", "8000", "arena_site.asgi:application"]
