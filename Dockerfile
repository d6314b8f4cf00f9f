# Fleek Edge as an image: two stages, no compiler and no package manager of ours in the second.
#
#   docker build -t fleek-edge .
#   docker run -d -p 8080:8080 -v edge:/data --read-only --cap-drop all fleek-edge
#
# The bases are arguments, so that the same file builds where public images cannot be pulled (see
# tests/container/). Both need Debian's package manager at build time and a Python >= 3.11 at the same path.
ARG BASE=docker.io/library/python:3.11-slim-bookworm
ARG RUNTIME_BASE=${BASE}

FROM ${BASE} AS build
# Debian's rustc-web is 1.85 or newer, as native/Cargo.toml asks; plain rustc is 1.63
RUN apt-get update \
 && apt-get install -y --no-install-recommends rustc-web cargo-web gcc libc6-dev ca-certificates \
 && rm -rf /var/lib/apt/lists/*
# pip and cargo trust what the system trusts, also behind a proxy with a certificate of its own
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt CARGO_HTTP_CAINFO=/etc/ssl/certs/ca-certificates.crt \
    PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 CARGO_TARGET_DIR=/tmp/target
WORKDIR /src

# Libraries first, then the native part over empty packages: an edit of Python reuses both layers.
COPY requirements.lock requirements-dev.lock ./
RUN python3 -m venv /opt/build \
 && sed -n '/^maturin==/,/[^\\]$/p' requirements-dev.lock >/tmp/build.lock \
 && /opt/build/bin/pip install --require-hashes --requirement /tmp/build.lock \
 && python3 -m venv /opt/app \
 && /opt/app/bin/pip install --require-hashes --requirement requirements.lock
COPY pyproject.toml LICENSE ./
COPY native native
RUN for package in runtime content/bao durable net blockstore origins handshake gateway pinning node tools; do \
        mkdir -p "$package" && touch "$package/__init__.py"; done \
 && touch content/__init__.py README.md \
 && /opt/build/bin/maturin build --release --locked --interpreter python3 --out /tmp/first

COPY . .
RUN /opt/build/bin/maturin build --release --locked --interpreter python3 --out /wheels \
 && /opt/app/bin/pip install --no-deps /wheels/*.whl \
 && /opt/app/bin/pip uninstall --yes --quiet pip setuptools \
 && /opt/app/bin/python -m compileall -q /opt/app/lib

FROM ${RUNTIME_BASE}
COPY --from=build /opt/app /opt/app
# The root file system is never written: all state is under /data.
RUN mkdir /data && chown 10001:10001 /data
ENV PATH=/opt/app/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    FLEEK_EDGE_DATA=/data \
    FLEEK_EDGE_NODE_LISTEN=0.0.0.0:8080 \
    FLEEK_EDGE_NODE_ADMIN=127.0.0.1:8081
USER 10001:10001
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
# asks the admin listener wherever it was put; not answering in time is as bad as answering no
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-c", "\
import os, urllib.request; \
port = os.environ['FLEEK_EDGE_NODE_ADMIN'].rpartition(':')[2]; \
urllib.request.urlopen(f'http://127.0.0.1:{port}/healthz', timeout=4)"]
ENTRYPOINT ["fleek-edge"]
CMD ["serve"]
