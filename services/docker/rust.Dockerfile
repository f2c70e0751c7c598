# The servers and clients in Rust, and the comparison. Built from the root of the repository:
#   docker build -f services/docker/rust.Dockerfile -t eshm-users-rust .
FROM rust:1.95-slim-bookworm AS build
# SQLite is compiled in.
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY core core
COPY Cargo.toml Cargo.toml
COPY services/Cargo.toml services/Cargo.lock services/
COPY services/compare services/compare
COPY services/proto services/proto
COPY services/rust services/rust
# The workspace of the core has more members than are here: only what the core's manifest takes from it matters.
RUN sed -i 's/^members = .*/members = ["core"]/' Cargo.toml
RUN cargo build --release --locked --manifest-path services/Cargo.toml

FROM debian:bookworm-slim
RUN useradd --uid 10001 --create-home users && mkdir /data && chown users /data
COPY --from=build /src/services/target/release/users-server /src/services/target/release/users \
    /src/services/target/release/compare /usr/local/bin/
USER users
VOLUME /data
EXPOSE 4000 4001 4002
ENTRYPOINT ["users-server"]
CMD ["--socket-listen", "0.0.0.0:4000", "--rest-listen", "0.0.0.0:4001", "--grpc-listen", "0.0.0.0:4002", \
    "--store", "/data/users.db"]
