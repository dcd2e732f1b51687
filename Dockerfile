# This file builds every image. REQUIREMENTS selects one:
#   worker-cpu  the API, whose model checker needs TensorFlow, and workers without GPUs
#   worker-gpu  workers with GPUs
#   service     an API that accepts jobs unchecked; a tenth of the size
#
#   docker build --build-arg REQUIREMENTS=worker-gpu .
#
# There is one stage: with a second one, TensorFlow would be on the disk twice during the build.
ARG BASE_IMAGE=python:3.11-slim-bookworm
FROM ${BASE_IMAGE}

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PATH=/opt/fitqueue/bin:$PATH

# The processes do not run as root. The folders exist in the image so that a named volume mounted there belongs to this
# user.
RUN useradd --uid 10001 --no-create-home --home-dir /var/lib/fitqueue fitqueue \
 && mkdir -p /var/lib/fitqueue/storage /var/lib/fitqueue/work /var/lib/fitqueue/.keras \
 && chown -R fitqueue:fitqueue /var/lib/fitqueue

# TensorFlow has a layer of its own, so a change of the code is rebuilt in seconds. `--copies` gives the environment a
# Python of its own, for base images whose Python is managed by a package manager. Python files are compiled here,
# because nothing can be written where the image runs: each start would compile all of TensorFlow again. TensorFlow's
# C++ headers, a sixth of the image, are deleted: only programs that compile operations need them.
ARG REQUIREMENTS=worker-cpu
COPY requirements/uv.txt requirements/build.txt requirements/${REQUIREMENTS}.txt /tmp/requirements/
RUN python3 -m venv --copies --without-pip /opt/fitqueue \
 && pip install --no-cache-dir --require-hashes --target /tmp/uv --requirement /tmp/requirements/uv.txt \
 && /tmp/uv/bin/uv pip install --no-cache --compile-bytecode --python /opt/fitqueue/bin/python --require-hashes \
    --requirement /tmp/requirements/build.txt --requirement /tmp/requirements/${REQUIREMENTS}.txt \
 && rm -rf /tmp/uv /opt/fitqueue/lib/python3*/site-packages/tensorflow/include

# Install the commands and their entry points before the code. They refer to this folder, whatever code it has later.
WORKDIR /srv/fitqueue
COPY pyproject.toml README.md ./
RUN pip --python /opt/fitqueue/bin/python install --no-cache-dir --no-deps --no-build-isolation --editable .

COPY fitqueue fitqueue
COPY service service
COPY workers workers
COPY migrations migrations
RUN python -m compileall -q .

# The driver keeps here what it compiles for a GPU that a library has no code for. Its default is in HOME, where nothing
# can be written, so each job would compile it again.
ENV CUDA_CACHE_PATH=/var/lib/fitqueue/work/cuda
USER fitqueue
