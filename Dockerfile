# Serves scores over gRPC, with certificate and credentials from outside. How to build, run and check it: docs/operations.md, "Container".
# BASE is a Debian with Python 3.11 as `python3`; the lock and the paths below rely on that version.
ARG BASE=docker.io/library/python:3.11-slim-bookworm
# What it can serve by: `base` is gRPC, `http` the HTTP front door as well. Names the lock and its bill of materials.
ARG FORM=base

FROM ${BASE} AS builder
ARG FORM
WORKDIR /build
COPY requirements/${FORM}.txt requirements/dev.txt ./
# Tornado's own tests come with a private key. Settings of pip (an index, a certificate) come as secrets and leave no trace.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.crt \
    awk '/^[^ #]/ {keep = /^(hatchling|packaging|pathspec|pluggy|trove-classifiers)==/} keep' dev.txt >tools.txt \
    && python3 -m venv tools \
    && tools/bin/pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: --requirement tools.txt \
    && python3 -m venv --without-pip /opt/micromoment \
    && tools/bin/pip --python /opt/micromoment/bin/python install --no-compile --no-cache-dir --no-deps \
        --require-hashes --only-binary :all: --requirement "${FORM}.txt" \
    && rm -rf /opt/micromoment/lib/python3*/site-packages/tornado/test
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY training training
# Bytecode that nobody compares with its source: the file's time may change, the file does not.
RUN tools/bin/python -m hatchling build --target wheel \
    && tools/bin/pip --python /opt/micromoment/bin/python install --no-compile --no-cache-dir --no-deps \
        --no-index --find-links dist micromoment \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/micromoment/lib
# Machine code for any processor of this kind, where the server looks for it under these same names.
ENV NUMBA_CPU_NAME=generic \
    NUMBA_CACHE_DIR=/opt/micromoment/machine-code \
    NUMBA_CACHE_LOCATOR_CLASSES=micromoment.features.sealed_cache.SealedCacheLocator
RUN /opt/micromoment/bin/python -m micromoment.compile

FROM ${BASE}
ARG FORM
LABEL org.opencontainers.image.title="micromoment" \
    org.opencontainers.image.description="Scores storefront visits event by event over gRPC" \
    org.opencontainers.image.licenses="Apache-2.0" \
    micromoment.sbom="/opt/micromoment/sbom.cdx.json"
# LightGBM needs OpenMP's library. Its version follows the base image, which is what one pins.
# hadolint ignore=DL3008
RUN python3 -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null \
    || { apt-get update && apt-get install --yes --no-install-recommends libgomp1 \
        && rm -rf /var/lib/apt/lists/*; }
# Nobody in here needs to become somebody else.
RUN find / -xdev -type f -perm /6000 -exec chmod a-s {} +
RUN mkdir /bundles /features && install --directory --owner 10001 --group 10001 /var/lib/micromoment
COPY --from=builder /opt/micromoment /opt/micromoment
COPY requirements/${FORM}.cdx.json /opt/micromoment/sbom.cdx.json
ENV PATH=/opt/micromoment/bin:$PATH \
    HOME=/var/lib/micromoment \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    NUMBA_CPU_NAME=generic \
    NUMBA_CACHE_DIR=/opt/micromoment/machine-code \
    NUMBA_CACHE_LOCATOR_CLASSES=micromoment.features.sealed_cache.SealedCacheLocator \
    MICROMOMENT_HOST=0.0.0.0 \
    MICROMOMENT_METRICS_HOST=0.0.0.0 \
    MICROMOMENT_HEALTH_PORT=50053 \
    MICROMOMENT_BUNDLE_STORE=/bundles \
    MICROMOMENT_FEATURE_STORE=/features \
    MICROMOMENT_STATE_DIR=/var/lib/micromoment
VOLUME /var/lib/micromoment
EXPOSE 50051 9464 50053
USER 10001:10001
WORKDIR /var/lib/micromoment
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-m", "micromoment.health", "--host", "127.0.0.1"]
ENTRYPOINT ["python", "-m", "micromoment.container", "serve"]
