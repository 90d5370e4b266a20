# The offline commands: import, train, retrain, promote. `docker build --file deploy/training.Dockerfile .` in the
# project's folder; pip's settings come as they do for the server's image (docs/operations.md, "Container").
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS builder
WORKDIR /build
COPY requirements/training.txt requirements/dev.txt ./
# Hatchling builds the wheel and stays here; its lock is that of development.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.crt \
    awk '/^[^ #]/ {keep = /^(hatchling|packaging|pathspec|pluggy|trove-classifiers)==/} keep' dev.txt >tools.txt \
    && python3 -m venv tools \
    && tools/bin/pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: --requirement tools.txt \
    && python3 -m venv --without-pip /opt/micromoment \
    && tools/bin/pip --python /opt/micromoment/bin/python install --no-cache-dir --no-deps \
        --require-hashes --only-binary :all: --requirement training.txt \
    && rm -rf /opt/micromoment/lib/python3*/site-packages/tornado/test
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY training training
RUN tools/bin/python -m hatchling build --target wheel \
    && tools/bin/pip --python /opt/micromoment/bin/python install --no-cache-dir --no-deps \
        --no-index --find-links dist micromoment

FROM ${BASE}
LABEL org.opencontainers.image.title="micromoment-training" \
    org.opencontainers.image.description="Trains, judges and promotes what micromoment serves" \
    org.opencontainers.image.licenses="Apache-2.0"
# hadolint ignore=DL3008
RUN python3 -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null \
    || { apt-get update && apt-get install --yes --no-install-recommends libgomp1 \
        && rm -rf /var/lib/apt/lists/*; }
RUN find / -xdev -type f -perm /6000 -exec chmod a-s {} +
RUN mkdir /bundles /features /events /reports \
    && install --directory --owner 10001 --group 10001 /var/lib/micromoment
COPY --from=builder /opt/micromoment /opt/micromoment
# Machine code is made anew in each run, for the processor at hand: half a minute of a night.
ENV PATH=/opt/micromoment/bin:$PATH \
    HOME=/var/lib/micromoment \
    BENTOML_DO_NOT_TRACK=True \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    NUMBA_CACHE_DIR=/tmp/machine-code
USER 10001:10001
WORKDIR /var/lib/micromoment
ENTRYPOINT ["micromoment"]
