#!/usr/bin/env bash
# examples/: s3, http-key, pvc-certificate and private-sigstore as real pods on podman, with real servers and real signatures.
# Arguments: one example's name.
. "$(dirname "$0")/../lib.sh"
. "$root/.ci/containers.sh"
need_manifest_tools
need_servers
need_reference_signer
need_dist
prepare_containers
build_server
podman image exists "$GATE_IMAGE" || die "there is no $GATE_IMAGE; run .ci/stages/image.sh first"
E2E_IMAGE=$GATE_IMAGE E2E_SERVER_IMAGE=$SERVER_IMAGE bash examples/lib/run.sh "$@"
