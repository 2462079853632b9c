# What `make run` does, in a container: docker build --tag evalkit . && docker run --rm evalkit
# Other commands, on files of the current folder, as the user 1000:
#   docker run --rm --volume "$PWD:/work" --workdir /work evalkit evalkit run my.gguf limit=20
FROM python:3.11-slim

# llama.cpp's threads need libgomp. Debian removes old versions from its mirrors: a pinned one cannot be had for long.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 make \
    && rm -rf /var/lib/apt/lists/*

# Nothing here needs to be root.
RUN useradd --create-home --uid 1000 user
USER 1000
WORKDIR /home/user/evalkit
COPY --chown=1000:1000 . .
RUN make install

ENV PATH="/home/user/evalkit/.venv/bin:${PATH}"
CMD ["make", "run"]
