# The image carries the bundled program, its license and nothing else: no shell, no package manager, no node_modules.
# Every base is a build argument, so that it can be built where no registry can be reached; see docs/image.md.
#
#   docker build -t model-gate:dev .
ARG BUILD_BASE=docker.io/library/node:24.21.0-trixie-slim
ARG BASE=gcr.io/distroless/nodejs24-debian13:nonroot
# Where dist/ comes from: "source" builds it here, "prebuilt" takes the one `npm run build` made beside this file.
ARG DIST=source

# The program is plain JavaScript: it is built on the builder's own platform, whatever the target is.
FROM --platform=$BUILDPLATFORM ${BUILD_BASE} AS source
WORKDIR /src
COPY package.json package-lock.json ./
# What the build needs has no use for install scripts: nothing of a package runs before the bundler does.
RUN ["npm", "ci", "--ignore-scripts"]
COPY . .
RUN ["npm", "run", "build"]

FROM scratch AS prebuilt
COPY dist/ /src/dist/

FROM ${DIST} AS dist

# Links, modes (a checkout has those of its umask) and the interpreter line are made here, because the final stage must not run anything
# (no shell to run it with, and building for another architecture needs no emulation).
# distroless has no /usr/bin/env: the kernel starts /nodejs/bin/node itself.
FROM --platform=$BUILDPLATFORM ${BUILD_BASE} AS layout
COPY LICENSE /out/app/LICENSE
COPY --from=dist /src/dist/ /out/app/dist/
RUN ["node", "--input-type=commonjs", "--eval", "\
  const fs = require('node:fs'); \
  const main = '/out/app/dist/main.js'; \
  fs.writeFileSync(main, '#!/nodejs/bin/node\\n' + fs.readFileSync(main, 'utf8').replace(/^#!.*\\n/, '')); \
  fs.writeFileSync('/out/app/package.json', JSON.stringify({ type: 'module' })); \
  for (const entry of fs.readdirSync('/out', { recursive: true, withFileTypes: true })) fs.chmodSync(entry.parentPath + '/' + entry.name, entry.isDirectory() ? 0o755 : 0o644); \
  fs.chmodSync(main, 0o755); \
  fs.mkdirSync('/out/usr/local/bin', { recursive: true }); \
  for (const name of ['model-gate', 'model_signing', 'validation-agent']) fs.symlinkSync('/app/dist/main.js', '/out/usr/local/bin/' + name); \
"]

FROM ${BASE}
ARG BASE
ARG VERSION=0.0.0-dev
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="model-gate" \
      org.opencontainers.image.description="Init container that lets a model server start only when its model is authentic (OpenSSF Model Signing)" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.base.name="${BASE}"
COPY --from=layout /out/ /
# Numeric, so that runAsNonRoot can be checked; any other UID works as well.
USER 65532:65532
WORKDIR /
# Exec form: node is PID 1 and gets the signals. KServe gives bare "uri dest" pairs, which mean "pull".
ENTRYPOINT ["/nodejs/bin/node", "/app/dist/main.js"]
