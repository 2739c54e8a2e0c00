# Satchel's server, without torch. See docs/guide/deploy.md.
#
#     docker build -t satchel .
#     docker run --rm -v shop:/data satchel init /data
#     docker run --read-only --tmpfs /tmp -v shop:/data -p 127.0.0.1:8000:8000 satchel

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/satchel
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY src src
RUN /opt/satchel/bin/pip install --constraint constraints.txt ".[heic,market]" \
    && /opt/satchel/bin/pip uninstall --yes pip

FROM python:3.13-slim
RUN groupadd --system --gid 10001 satchel \
    && useradd --system --uid 10001 --gid satchel --no-create-home --shell /usr/sbin/nologin satchel \
    && install --directory --owner satchel --group satchel --mode 0750 /data
COPY --from=build /opt/satchel /opt/satchel
ENV PATH=/opt/satchel/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SATCHEL_WORKSPACE=/data
USER satchel
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz/live', timeout=4)"]
ENTRYPOINT ["satchel"]
CMD ["serve", "--host", "0.0.0.0"]
