# syntax=docker/dockerfile:1
# One image for web, workers and scheduler; docker-compose.yml says which is which.
FROM python:3.11-slim-bookworm AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/overread
COPY requirements.txt /tmp/requirements.txt
# Every package is checked against its hash; pip compiles to bytecode, which halves the workers' start.
RUN /opt/overread/bin/pip install --require-hashes -r /tmp/requirements.txt

FROM python:3.11-slim-bookworm
ARG OVERREAD_REVISION=""
ENV PATH=/opt/overread/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    OVERREAD_DATA=/data \
    OVERREAD_ENV_FILE="" \
    OVERREAD_BIND=0.0.0.0 \
    OVERREAD_REVISION=$OVERREAD_REVISION \
    STATIC_ROOT=/srv/overread-static
RUN groupadd --gid 10001 overread \
    && useradd --uid 10001 --gid overread --no-create-home --shell /usr/sbin/nologin overread \
    && install -d -o overread -g overread -m 0700 /data \
    && install -d -o root -g root -m 0755 /srv/overread-static
COPY --from=packages /opt/overread /opt/overread
WORKDIR /srv/overread
COPY . .
# A key for this one command; nothing of it stays in the image. The code and the static files belong to root.
RUN python -m compileall -q . \
    && SECRET_KEY=only-for-collectstatic OVERREAD_DATA=/tmp/build python manage.py collectstatic --noinput -v 0 \
    && rm -rf /tmp/build
USER overread
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s CMD ["python", "-m", "portal.start.probe"]
CMD ["gunicorn", "-c", "portal/start/gunicorn_conf.py", "portal.wsgi:application"]
