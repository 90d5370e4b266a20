# The offline commands: import, train, retrain, promote. `docker build --file deploy/training.Dockerfile .` in the
# project's folder; pip's settings come as they do for the server's image (docs/operations.md, "Container").
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE}
LABEL org.opencontainers.image.title="micromoment-training" \
    org.opencontainers.image.description="Trains, judges and promotes what micromoment serves"
# hadolint ignore=DL3008
RUN python3 -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null \
    || { apt-get update && apt-get install --yes --no-install-recommends libgomp1 \
        && rm -rf /var/lib/apt/lists/*; }
WORKDIR /build
COPY requirements/dev.txt ./
# The lock of training is that of development, whose tools come along.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.crt \
    python3 -m venv /opt/micromoment \
    && /opt/micromoment/bin/pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: \
        --requirement dev.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY training training
ENV PATH=/opt/micromoment/bin:$PATH \
    HOME=/var/lib/micromoment \
    BENTOML_DO_NOT_TRACK=True \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    NUMBA_CACHE_DIR=/tmp/machine-code
# Machine code is made anew in each run, for the processor at hand: half a minute of a night.
RUN pip install --no-cache-dir --no-deps --no-build-isolation --no-index . \
    && mkdir /bundles /features /events /reports \
    && install --directory --owner 10001 --group 10001 /var/lib/micromoment
USER 10001:10001
WORKDIR /var/lib/micromoment
ENTRYPOINT ["micromoment"]
