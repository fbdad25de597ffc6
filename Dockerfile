# edgegw in a container: two stages, so that no build tool is in the image that runs.
#
#   docker build -t edgegw .
#   docker run -d --restart unless-stopped -p 9000:9000 -p 9080:9080 \
#       -v ./edgegw.toml:/etc/edgegw/edgegw.toml:ro -v edgegw-store:/var/lib/edgegw \
#       -v edgegw-firmware:/opt/edgegw/firmware_cache edgegw
#
# Look at it: docker exec -it CONTAINER edgegw console --config /etc/edgegw/edgegw.toml
#
# For [files] say directory = "/opt/edgegw/firmware_cache" and public_url = "http://THE-HOST:9080"; FTP needs its
# ports mapped one to one, ftp_ports included.

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/edgegw/venv
WORKDIR /build
COPY requirements.lock ./
RUN /opt/edgegw/venv/bin/pip install --require-hashes --only-binary :all: -r requirements.lock
COPY edgegw ./edgegw
RUN cp -r edgegw "$(/opt/edgegw/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
    && /opt/edgegw/venv/bin/python -m compileall -q /opt/edgegw/venv

FROM python:3.11-slim-bookworm
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --system --uid 9000 --home-dir /opt/edgegw --shell /usr/sbin/nologin edgegw \
    && install -d -o edgegw -g edgegw -m 0750 /var/lib/edgegw /opt/edgegw/firmware_cache \
    && install -d /etc/edgegw
COPY --from=build /opt/edgegw/venv /opt/edgegw/venv
COPY config/edgegw.toml /etc/edgegw/edgegw.toml
COPY LICENSE /opt/edgegw/LICENSE
RUN printf '#!/bin/sh\nexec /opt/edgegw/venv/bin/python -m edgegw "$@"\n' > /usr/local/bin/edgegw \
    && chmod 0755 /usr/local/bin/edgegw
USER edgegw
WORKDIR /opt/edgegw
VOLUME ["/var/lib/edgegw", "/opt/edgegw/firmware_cache"]
EXPOSE 9000 9080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
    CMD ["edgegw", "status", "--config", "/etc/edgegw/edgegw.toml"]
ENTRYPOINT ["edgegw"]
CMD ["run", "--config", "/etc/edgegw/edgegw.toml"]
