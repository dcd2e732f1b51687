# One file for every image; REQUIREMENTS says which: worker-cpu (the API too, whose checker builds models with
# TensorFlow), worker-gpu, or service: an API that takes jobs unchecked, and is a tenth as large.
#   docker build --build-arg REQUIREMENTS=worker-gpu .
# One stage: a second one would hold TensorFlow twice while it is built, and what the first leaves behind is deleted here.
ARG BASE_IMAGE=python:3.11-slim-bookworm
FROM ${BASE_IMAGE}

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PATH=/opt/fitqueue/bin:$PATH

# Not root; the folders exist in the image so that a named volume mounted there belongs to this user.
RUN useradd --uid 10001 --no-create-home --home-dir /var/lib/fitqueue fitqueue \
 && mkdir -p /var/lib/fitqueue/storage /var/lib/fitqueue/work /var/lib/fitqueue/.keras \
 && chown -R fitqueue:fitqueue /var/lib/fitqueue

# TensorFlow's layer stands apart from the code's: a change of the code rebuilds in seconds. `--copies` keeps the
# environment whole where the base image's own Python is managed by its packager. Compiled here, because nothing can be
# written where it runs: else each start would compile all of TensorFlow anew. Its C++ headers, a sixth of the image, are
# for who compiles operations of his own.
ARG REQUIREMENTS=worker-cpu
COPY requirements/uv.txt requirements/build.txt requirements/${REQUIREMENTS}.txt /tmp/requirements/
RUN python3 -m venv --copies --without-pip /opt/fitqueue \
 && pip install --no-cache-dir --require-hashes --target /tmp/uv --requirement /tmp/requirements/uv.txt \
 && /tmp/uv/bin/uv pip install --no-cache --compile-bytecode --python /opt/fitqueue/bin/python --require-hashes \
    --requirement /tmp/requirements/build.txt --requirement /tmp/requirements/${REQUIREMENTS}.txt \
 && rm -rf /tmp/uv /opt/fitqueue/lib/python3*/site-packages/tensorflow/include

# The commands and their entry points. They lead to the folder, whatever code will lie there.
WORKDIR /srv/fitqueue
COPY pyproject.toml README.md ./
RUN pip --python /opt/fitqueue/bin/python install --no-cache-dir --no-deps --no-build-isolation --editable .

COPY fitqueue fitqueue
COPY service service
COPY workers workers
COPY migrations migrations
RUN python -m compileall -q .

# What the driver compiles for a GPU that a library holds no code for. By default it lies in HOME, where nothing can be
# written: then each job would compile it anew.
ENV CUDA_CACHE_PATH=/var/lib/fitqueue/work/cuda
USER fitqueue
