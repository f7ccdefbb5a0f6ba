#!/usr/bin/env bash
# Builds the image on a local base and holds it against test/image/image.yaml; builds dist/ again from what .dockerignore lets through,
# and the image again from that: same bytes, same digest. Then for another architecture.
. "$(dirname "$0")/../lib.sh"
. "$root/.ci/containers.sh"
need_manifest_tools
hadolint Dockerfile
npm run build # not need_dist: what stands there may be older than the code
prepare_containers

revision=$(git rev-parse HEAD)
arguments=(--pull=never --no-cache --timestamp "$(git log -1 --format=%ct)"
  --build-arg "BUILD_BASE=$BASE_IMAGE" --build-arg DIST=prebuilt
  --build-arg "VERSION=$(node -p 'require("./package.json").version')" --build-arg "REVISION=$revision")
build . "${arguments[@]}" --build-arg "BASE=$BASE_IMAGE" --tag "$GATE_IMAGE"
node test/image/check.ts "$GATE_IMAGE" "$BASE_IMAGE"
[ "$(podman image inspect --format '{{index .Config.Labels "org.opencontainers.image.revision"}}' "$GATE_IMAGE")" = "$revision" ] || die 'another revision in the label'

# The stage "source" of the Dockerfile, without a registry: its files, and only those, elsewhere, with other modes and packages installed anew.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
printf 'FROM scratch\nCOPY . /\n' >"$folder/Dockerfile"
build . --timestamp 0 --file "$folder/Dockerfile" --ignorefile .dockerignore --tag localhost/model-gate-context:ci
container=$(buildah from localhost/model-gate-context:ci)
cp -r "$(buildah mount "$container")" "$folder/elsewhere"
buildah rm "$container" >/dev/null
podman image rm --force localhost/model-gate-context:ci >/dev/null
rm -rf "$folder/elsewhere/dist"
(cd "$folder/elsewhere" && umask 077 && npm ci --ignore-scripts --no-audit --no-fund --silent && npm run --silent build)
diff -r dist "$folder/elsewhere/dist" || die 'dist/ is another one when it is built elsewhere'
printf 'ok     two builds of dist/, digest %s\n' "$(cd dist && sha256sum -- * | sha256sum | cut -d' ' -f1)"

digest() { buildah push --quiet "$1" "oci:$folder/$2:image" >/dev/null && node -p 'JSON.parse(require("fs").readFileSync(process.argv[1])).manifests[0].digest' "$folder/$2/index.json"; }
cp Dockerfile .dockerignore "$folder/elsewhere/"
build "$folder/elsewhere" "${arguments[@]}" --build-arg "BASE=$BASE_IMAGE" --tag localhost/model-gate-again:ci
first=$(digest "$GATE_IMAGE" first) second=$(digest localhost/model-gate-again:ci second)
[ "$first" = "$second" ] || die "the same image built twice has two digests, $first and $second"
printf 'ok     two builds of the image, digest %s\n' "$first"
podman image rm --force localhost/model-gate-again:ci >/dev/null

# The final stage runs nothing, so that another architecture needs no emulation. An empty base proves it.
platform=linux/$(podman info --format '{{.Host.Arch}}') # buildah 1.28 does not set it by itself
build . "${arguments[@]}" --build-arg BASE=scratch --build-arg "BUILDPLATFORM=$platform" --platform linux/arm64 --tag localhost/model-gate-arm64:ci
[ "$(podman image inspect --format '{{.Architecture}}' localhost/model-gate-arm64:ci)" = arm64 ] || die 'the image for arm64 is for another architecture'
podman image rm --force localhost/model-gate-arm64:ci >/dev/null
echo 'ok     an image for arm64'
