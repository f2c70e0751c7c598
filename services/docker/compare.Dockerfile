# The comparison of both languages: everything in one container, since client and server start each other.
# Built by compose, from the two images of the servers.
FROM eshm-users-rust AS rust

FROM eshm-users-python
COPY --from=rust /usr/local/bin/users /usr/local/bin/users-server /usr/local/bin/compare /usr/local/bin/
ENTRYPOINT ["compare", "--rust", "/usr/local/bin", "--python", "/usr/local/bin/python", "--out", "/data/report"]
CMD ["--quick"]
