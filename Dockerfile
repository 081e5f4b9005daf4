# Routy in a container. Build: docker build -t routy .
# Run: docker run -v routy-state:/var/lib/routy -v ./routy.toml:/etc/routy/routy.toml:ro -p 7443:7443 routy
# This file is not built by the project's own checks.
FROM node:22-slim AS build
WORKDIR /build
COPY package.json package-lock.json tsconfig.json ./
COPY scripts/build.mjs ./scripts/
COPY packages ./packages
RUN npm ci --ignore-scripts && npm run build && npm prune --omit=dev --ignore-scripts

FROM node:22-slim
# No signal opens Node's inspector; routy sees to that too, this holds from the first instruction.
ENV NODE_ENV=production NODE_OPTIONS=--disable-sigusr1
WORKDIR /opt/routy
COPY --from=build /build/package.json ./
COPY --from=build /build/node_modules ./node_modules
COPY --from=build /build/packages ./packages
COPY LICENSE ./
RUN ln -s /opt/routy/packages/routy/dist/cli/main.js /usr/local/bin/routy \
 && chmod 755 /opt/routy/packages/routy/dist/cli/main.js \
 && groupadd --system --gid 7443 routy \
 && useradd --system --uid 7443 --gid routy --home-dir /var/lib/routy --shell /usr/sbin/nologin routy \
 && install -d -o routy -g routy -m 0700 /var/lib/routy \
 && install -d -o routy -g routy -m 0750 /etc/routy
USER routy
VOLUME /var/lib/routy
EXPOSE 7443
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["routy", "status"]
ENTRYPOINT ["routy"]
CMD ["up"]
