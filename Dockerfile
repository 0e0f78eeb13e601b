# One image for the four services, the sandbox and the command line; the first argument is the module to run:
#   docker run backstop backstop_recovery        docker run backstop backstop migrate
FROM python:3.11-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
WORKDIR /src
# The locked packages change seldom: a layer of their own.
COPY requirements.lock ./
RUN /opt/venv/bin/pip install --require-hashes --requirement requirements.lock
COPY libs libs
COPY services services
RUN /opt/venv/bin/pip install --no-deps --no-build-isolation ./libs/* ./services/* \
    && /opt/venv/bin/pip uninstall --yes editables hatchling pip setuptools


FROM python:3.11-slim-bookworm

ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Backstop" \
      org.opencontainers.image.description="The safety net behind asynchronous AI generation." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# The folder belongs to the user, so that a named volume mounted there does too. Nothing else is written to but /tmp.
RUN groupadd --gid 10001 backstop \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin backstop \
    && install --directory --owner 10001 --group 10001 --mode 0750 /var/lib/backstop /var/lib/backstop/assets
COPY --from=build /opt/venv /opt/venv
COPY --chmod=755 deploy/docker/probe /usr/local/bin/probe
COPY LICENSE /usr/share/doc/backstop/LICENSE

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    BACKSTOP_HOST=0.0.0.0 \
    BACKSTOP_LOG_FORMAT=json
USER 10001:10001
WORKDIR /tmp
EXPOSE 8080 9101 9102 9103
STOPSIGNAL SIGTERM
# The admin-api's address; compose and Kubernetes name the one of each service.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["probe", "http://127.0.0.1:8080/readyz"]
ENTRYPOINT ["python", "-m"]
CMD ["backstop", "--help"]
