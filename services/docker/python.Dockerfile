# The servers and clients in Python. Built from the root of the repository:
#   docker build -f services/docker/python.Dockerfile -t eshm-users-python .
FROM rust:1.95-slim-bookworm AS wheel
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY core core
COPY py py
# The wheel needs only these two members of the workspace.
RUN sed -i 's/^members = .*/members = ["core", "py"]/' Cargo.toml
RUN pip wheel --break-system-packages --no-deps --wheel-dir /wheels ./py

FROM python:3.11-slim-bookworm
COPY --from=wheel /wheels /wheels
COPY services/proto /src/proto
COPY services/python /src/python
RUN pip install --no-cache-dir /wheels/*.whl /src/python \
    && useradd --uid 10001 --create-home users && mkdir /data && chown users /data
USER users
VOLUME /data
EXPOSE 4000 4001 4002
ENTRYPOINT ["python", "-m", "users_service.server"]
CMD ["--socket-listen", "0.0.0.0:4000", "--rest-listen", "0.0.0.0:4001", "--grpc-listen", "0.0.0.0:4002", \
    "--store", "/data/users.db"]
