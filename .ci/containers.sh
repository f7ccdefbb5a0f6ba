# Sourced by the stages that build or run containers: a local base image where no registry can be reached,
# and the detours some sandboxes need, taken only where the plain call fails.
# shellcheck shell=bash

BASE_IMAGE=localhost/model-gate-base:node-$(node -p process.versions.node)
GATE_IMAGE=localhost/model-gate:ci
SERVER_IMAGE=localhost/model-gate-busybox:ci
S3_IMAGE=localhost/model-gate-versitygw:ci
WORKSHOP_IMAGE=localhost/model-gate-workshop-server:ci

# build CONTEXT ARGUMENT...: builds quietly, shows the log only when it fails.
build() {
  local context=$1 log
  shift
  log=$(mktemp)
  buildah bud "$@" "$context" >"$log" 2>&1 || {
    cat "$log" >&2
    rm "$log"
    return 1
  }
  rm "$log"
}

# The stand-in for distroless: the project's own Node where distroless has it, the libraries it is linked with, CA certificates.
build_base() {
  if podman image exists "$BASE_IMAGE"; then return; fi
  local folder node file
  folder=$(mktemp -d)
  node=$root/node_modules/node/bin/node
  mkdir -p "$folder/root/nodejs/bin" "$folder/root/etc/ssl/certs" "$folder/root/tmp"
  chmod 1777 "$folder/root/tmp"
  cp "$node" "$folder/root/nodejs/bin/node"
  ldd "$node" | grep -oE '/[^ ]+' | while read -r file; do install -D -m 755 "$file" "$folder/root$file"; done
  cp /etc/ssl/certs/ca-certificates.crt "$folder/root/etc/ssl/certs/"
  printf 'FROM scratch\nCOPY root/ /\nENV PATH=/nodejs/bin:/usr/local/bin:/usr/bin:/bin SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt\n' >"$folder/Dockerfile"
  build "$folder" --timestamp 0 --tag "$BASE_IMAGE"
  rm -rf "$folder"
}

# The stand-in for a model server: busybox's web server.
build_server() {
  local folder
  folder=$(mktemp -d)
  install -D -m 755 /bin/busybox "$folder/bin/busybox"
  printf 'FROM scratch\nCOPY bin/ /bin/\n' >"$folder/Dockerfile"
  build "$folder" --timestamp 0 --tag "$SERVER_IMAGE"
  rm -rf "$folder"
}

# The stand-in for versitygw's image: the program where that image has it, and the libraries it is linked with.
build_s3() {
  local folder program file
  folder=$(mktemp -d)
  program=$cache/bin/versitygw
  install -D -m 755 "$program" "$folder/root/usr/local/bin/versitygw"
  ldd "$program" | grep -oE '/[^ ]+' | while read -r file; do install -D -m 755 "$file" "$folder/root$file"; done
  printf 'FROM scratch\nCOPY root/ /\n' >"$folder/Dockerfile"
  build "$folder" --timestamp 0 --tag "$S3_IMAGE"
  rm -rf "$folder"
}

# The workshop's model server; its packages are installed here, because the base image has no npm.
build_workshop_server() {
  local folder=$root/examples/workshop/server
  npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund >/dev/null
  build "$folder" --pull=never --timestamp 0 --build-arg "BASE=$BASE_IMAGE" --build-arg "BUILD_BASE=$BASE_IMAGE" --build-arg MODULES=prebuilt --tag "$WORKSHOP_IMAGE"
}

# Finds out how containers run here. Without CAP_SYS_RESOURCE, runc cannot set the rlimits podman asks for.
use_runtime() {
  local probe=(podman run --rm --network host "$BASE_IMAGE" /nodejs/bin/node --eval 0)
  if "${probe[@]}" >/dev/null 2>&1; then
    echo 'containers: the plain runtime works'
    return
  fi
  echo 'containers: the plain runtime fails; using runc without rlimits, and chroot isolation for builds'
  install -m 755 "$root/.ci/runc-norlimit" /usr/local/bin/runc-norlimit
  export CONTAINERS_CONF=$root/.ci/containers.conf BUILDAH_ISOLATION=chroot
  "${probe[@]}" || die 'containers do not run here'
}

prepare_containers() {
  need_containers
  build_base
  use_runtime
}

# What every stage that plays pods needs: containers that run here, the stand-in of the server, the image of the stage before.
prepare_pods() {
  prepare_containers
  build_server
  podman image exists "$GATE_IMAGE" || die "there is no $GATE_IMAGE; run .ci/stages/image.sh first"
}
