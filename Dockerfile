# One file for every image; REQUIREMENTS says which: worker-cpu (the API too, whose checker needs TensorFlow), worker-gpu,
# or service: an API that takes jobs unchecked.
#   docker build --build-arg REQUIREMENTS=worker-gpu .
ARG BASE_IMAGE=python:3.11-slim-bookworm
FROM ${BASE_IMAGE}

ARG REQUIREMENTS=worker-cpu

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PATH=/opt/fitqueue/bin:$PATH

# Not root; the folders exist in the image so that a named volume mounted there belongs to this user.
RUN useradd --uid 10001 --no-create-home --home-dir /var/lib/fitqueue fitqueue \
 && mkdir -p /var/lib/fitqueue/store /var/lib/fitqueue/work /var/lib/fitqueue/.keras \
 && chown -R fitqueue:fitqueue /var/lib/fitqueue

# TensorFlow's layer stands apart from the code's: a change of the code rebuilds in seconds. `--copies` keeps the
# environment whole where the base image's own Python is managed by its packager.
COPY requirements/uv.txt requirements/build.txt requirements/${REQUIREMENTS}.txt /tmp/requirements/
RUN python3 -m venv --copies /opt/fitqueue \
 && pip install --no-cache-dir --require-hashes --requirement /tmp/requirements/uv.txt \
 && uv pip install --no-cache --python /opt/fitqueue/bin/python --require-hashes \
    --requirement /tmp/requirements/build.txt --requirement /tmp/requirements/${REQUIREMENTS}.txt

COPY pyproject.toml README.md /srv/fitqueue/
COPY fitqueue /srv/fitqueue/fitqueue
COPY service /srv/fitqueue/service
COPY workers /srv/fitqueue/workers
COPY migrations /srv/fitqueue/migrations
WORKDIR /srv/fitqueue
RUN uv pip install --no-cache --python /opt/fitqueue/bin/python --no-deps --no-build-isolation --editable .
USER fitqueue
