#!/usr/bin/env bash
# Builds the image on a local base, then checks what it promises: size, user, entry points, no shell, any UID, another architecture.
. "$(dirname "$0")/../lib.sh"
. "$root/.ci/containers.sh"
need_manifest_tools
hadolint Dockerfile
need_dist
prepare_containers

revision=$(git rev-parse HEAD)
arguments=(--pull=never --timestamp "$(git log -1 --format=%ct)"
  --build-arg "BUILD_BASE=$BASE_IMAGE" --build-arg DIST=prebuilt
  --build-arg "VERSION=$(node -p 'require("./package.json").version')" --build-arg "REVISION=$revision")
build . "${arguments[@]}" --build-arg "BASE=$BASE_IMAGE" --tag "$GATE_IMAGE"

problems=0
# expect WHAT WANTED FOUND
expect() {
  if [ "$2" = "$3" ]; then
    printf 'ok     %s: %s\n' "$1" "$3"
  else
    printf 'WRONG  %s: %s, expected %s\n' "$1" "$3" "$2"
    problems=$((problems + 1))
  fi
}
# start ARGUMENT...: a container as Kubernetes would run it; prints what it says on stdout.
start() { podman run --rm --network host --read-only --cap-drop all --security-opt no-new-privileges "$@"; }
status() {
  local code=0
  start "$@" >/dev/null 2>&1 || code=$?
  echo "$code"
}

version=$(node dist/main.js --version | head -n 1)
expect 'entry point' "$version" "$(start "$GATE_IMAGE" --version | head -n 1)"
expect '/usr/local/bin/model-gate' "$version" "$(start --entrypoint /usr/local/bin/model-gate "$GATE_IMAGE" --version | head -n 1)"
expect '/usr/local/bin/validation-agent with an interval, but no signature' 1 "$(status --entrypoint /usr/local/bin/validation-agent "$GATE_IMAGE" --interval=1m verify key /model)"
expect '/usr/local/bin/model_signing verify --help' 0 "$(status --entrypoint /usr/local/bin/model_signing "$GATE_IMAGE" verify --help)"
expect 'any UID, group 0' "$version" "$(start --user 12345:0 "$GATE_IMAGE" --version | head -n 1)"
expect 'no trust given' 2 "$(status "$GATE_IMAGE" /nowhere /mnt/models)"
expect 'no shell' 127 "$(status --entrypoint /bin/sh "$GATE_IMAGE" -c true)"
expect 'user' 65532:65532 "$(podman image inspect --format '{{.Config.User}}' "$GATE_IMAGE")"
expect 'entry point form' '[/nodejs/bin/node /app/dist/main.js]' "$(podman image inspect --format '{{.Config.Entrypoint}}' "$GATE_IMAGE")"
expect 'revision label' "$revision" "$(podman image inspect --format '{{index .Config.Labels "org.opencontainers.image.revision"}}' "$GATE_IMAGE")"
expect 'license label' Apache-2.0 "$(podman image inspect --format '{{index .Config.Labels "org.opencontainers.image.licenses"}}' "$GATE_IMAGE")"

# What the image adds to its base: the bundle, package.json (type only), LICENSE and three links; readable for everyone, writable for nobody but root.
container=$(buildah from "$GATE_IMAGE")
tree=$(buildah mount "$container")
expect 'added files' "$(cd dist && find . -type f | wc -l) + 2" "$(find "$tree/app/dist" -type f | wc -l) + $(find "$tree/app" -maxdepth 1 -type f | wc -l)"
expect 'links' 'model-gate -> /app/dist/main.js, model_signing -> /app/dist/main.js, validation-agent -> /app/dist/main.js' \
  "$(find "$tree/usr/local/bin" -type l -printf '%f -> %l\n' | sort | paste -sd, | sed 's/,/, /g')"
expect 'files others cannot read or anyone may write' 0 "$(find "$tree/app" \( ! -perm -o=r -o -type f -perm /022 \) ! -type l | wc -l)"
buildah rm "$container" >/dev/null

# The final stage runs nothing, so that another architecture needs no emulation. An empty base proves it.
platform=linux/$(podman info --format '{{.Host.Arch}}') # buildah 1.28 does not set it by itself
build . "${arguments[@]}" --build-arg BASE=scratch --build-arg "BUILDPLATFORM=$platform" --platform linux/arm64 --tag localhost/model-gate-arm64:ci
expect 'architecture of the arm64 image' arm64 "$(podman image inspect --format '{{.Architecture}}' localhost/model-gate-arm64:ci)"
podman image rm --force localhost/model-gate-arm64:ci >/dev/null

megabytes() { awk -v bytes="$1" 'BEGIN { printf "%.1f", bytes / 1e6 }'; }
size() { podman image inspect --format '{{.Size}}' "$1"; }
printf 'size   image %s MB, of it base %s MB and program %s MB\n' \
  "$(megabytes "$(size "$GATE_IMAGE")")" "$(megabytes "$(size "$BASE_IMAGE")")" "$(megabytes "$(($(size "$GATE_IMAGE") - $(size "$BASE_IMAGE")))")"
[ "$problems" = 0 ] || die "$problems checks of the image failed"
