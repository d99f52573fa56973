# One image for everything: the services, the commands and the bus (nats-server comes from a wheel).
#
#   docker build -t placelibre .            or: podman build --format docker -t placelibre .
#
# The minor version of Python and Debian's release are fixed; their patches come with each build, and the libraries are
# pinned by hash in requirements-runtime.lock.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS libraries

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /build
COPY requirements-build.lock requirements-runtime.lock ./
# Two environments: one with pip and what building takes, which stays here, and one without, which goes on. Without
# build isolation what has no wheel is built with the locked setuptools, not with the newest of today. Compiled here, for
# the root is read-only later; by hash, so that two builds of one tree give the same bytes.
RUN python3.11 -m venv /opt/build \
    && python3.11 -m venv --without-pip /opt/placelibre \
    && /opt/build/bin/python -m pip install --quiet --require-hashes --no-deps -r requirements-build.lock \
    && /opt/build/bin/python -m pip wheel --quiet --require-hashes --no-deps --no-build-isolation \
        --wheel-dir wheels -r requirements-runtime.lock \
    && /opt/build/bin/python -m pip --python /opt/placelibre/bin/python install --quiet --no-deps --no-index \
        --no-compile wheels/*.whl \
    && /opt/placelibre/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/placelibre/lib

FROM libraries AS project

COPY pyproject.toml README.md LICENSE ./
COPY shared shared
COPY services services
COPY cli cli
# Beside the libraries, not among them: a new version is a layer of a few megabytes.
RUN /opt/build/bin/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir own . \
    && /opt/build/bin/python -m pip --python /opt/placelibre/bin/python install --quiet --no-deps --no-index \
        --no-compile --prefix /own/opt/placelibre own/*.whl \
    && /opt/placelibre/bin/python -m compileall -q --invalidation-mode unchecked-hash -s /own /own

FROM ${BASE}

ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Placelibre" \
      org.opencontainers.image.description="Live library status, broadcast: is there a seat, how long is the queue, as of when." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# A user without a name here and without rights anywhere; /data and /exports are the only places that are its own.
RUN ["install", "-d", "-o", "10001", "-g", "10001", "-m", "0700", "/data", "/exports"]
COPY --from=libraries /opt/placelibre /opt/placelibre
COPY --from=project /own/ /
ENV PATH=/opt/placelibre/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PLACELIBRE_HOST=0.0.0.0
USER 10001:10001
WORKDIR /data
# Each service has /readyz on its own port; Compose names it there. Alone, the image is most often the api.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["placelibre", "probe", "http://127.0.0.1:8000/readyz"]
ENTRYPOINT ["placelibre"]
CMD ["--help"]
