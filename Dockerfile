# The server, with nothing that only development needs.
#
#   docker build -t tidewire .
#   docker run -p 127.0.0.1:4600:4600 -v tidewire:/data tidewire           embedded database in the volume, demo data
#   docker run --env-file … tidewire migrate|doctor|status|…               any command of the CLI
#
# Docker 25 or later: older ones do not know --start-interval.
#
# With DATABASE_URL (and AUTH_SECRET) it serves a Postgres; docker-compose.yml has several of them behind a proxy.
FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
COPY client-sdk/package.json client-sdk/
# No scripts: the only one of these packages that has one brings a Node for machines without, and here is one.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24-slim
LABEL org.opencontainers.image.title="Tidewire" \
      org.opencontainers.image.description="One live state for AI agents, devices and apps: Postgres is the truth, every client keeps a replica." \
      org.opencontainers.image.licenses="Apache-2.0"
# pg_dump and pg_restore, for backups: they must not be older than the Postgres they save, so they come from the PostgreSQL project itself.
RUN mkdir -p /usr/share/man/man1 /usr/share/man/man7 \
    && apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates postgresql-common \
    && /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y \
    && apt-get install -y --no-install-recommends postgresql-client-17 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY . .
# A number, so that an orchestrator can see that it is not root. The folders must be theirs before they become volumes.
RUN mkdir /data /backups && chown 1000:1000 /data /backups
USER 1000:1000
VOLUME /data
ENV NODE_ENV=production \
    NODE_OPTIONS="--conditions=tidewire:source --disable-warning=ExperimentalWarning" \
    HOST=0.0.0.0 \
    PORT=4600 \
    TIDEWIRE_DATA=/data \
    MALLOC_TRIM_THRESHOLD_=131072
EXPOSE 4600
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=1s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/ready`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# The launcher's limit of new objects, which it cannot set where it runs the server in its own process (docs/performance.md);
# likewise MALLOC_TRIM_THRESHOLD_ above.
ENTRYPOINT ["node", "--max-semi-space-size=16", "server/cli/tidewire.js"]
CMD ["start"]
