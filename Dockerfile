# syntax=docker/dockerfile:1
# One image for every process: `darkroom serve`, `darkroom worker`, `darkroom db upgrade`.

FROM python:3.11-slim-bookworm AS build
COPY --from=ghcr.io/astral-sh/uv:0.13.9 /uv /usr/local/bin/uv
ENV UV_PROJECT_ENVIRONMENT=/opt/darkroom \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PYTHON_DOWNLOADS=never
WORKDIR /src
# The dependencies first: they are a layer that only the lock file changes.
COPY pyproject.toml uv.lock ./
COPY client/pyproject.toml client/
RUN uv sync --locked --no-dev --extra traces --no-install-project
COPY README.md LICENSE ./
COPY src src
RUN uv sync --locked --no-dev --extra traces --no-editable

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 darkroom \
    && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home --home-dir /data --shell /usr/sbin/nologin darkroom \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data
COPY --from=build /opt/darkroom /opt/darkroom
ENV PATH=/opt/darkroom/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DARKROOM_DATA_DIR=/data \
    DARKROOM_HOST=0.0.0.0 \
    DARKROOM_PORT=8000
# By number, so that Kubernetes can tell that it is not root.
USER 10001:10001
WORKDIR /data
EXPOSE 8000
STOPSIGNAL SIGTERM
# Of the API; a worker answers on the port of DARKROOM_WORKER_PORT.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-c", "import http.client, os; port = os.environ.get('DARKROOM_WORKER_PORT') or os.environ['DARKROOM_PORT']; c = http.client.HTTPConnection('127.0.0.1', int(port), timeout=4); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["darkroom"]
CMD ["serve"]
