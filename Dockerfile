# Built with nothing but the npm registry and Debian. RocksDB is compiled once, here.
FROM node:24-bookworm-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3 make g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY . .
RUN npx tsc -p tsconfig.build.json
RUN npm prune --omit=dev --ignore-scripts && JOBS=max npm_config_build_from_source=true npm install --no-save --foreground-scripts rocksdb@5.2.1

FROM node:24-bookworm-slim
WORKDIR /opt/flotilla
COPY --from=build /build/package.json ./
COPY --from=build /build/node_modules ./node_modules
COPY --from=build /build/dist ./dist
COPY --from=build /build/cli/bin.js ./cli/bin.js
COPY docker-entrypoint.sh /usr/local/bin/
RUN ln -s /opt/flotilla/cli/bin.js /usr/local/bin/flotilla && mkdir -p /data/flotilla && chown node:node /data/flotilla
USER node
ENV FLOTILLA_PATH=/data/flotilla
VOLUME /data/flotilla
EXPOSE 9094 9095 9096
HEALTHCHECK --interval=10s --timeout=5s --retries=12 CMD ["flotilla", "id"]
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["daemon"]
