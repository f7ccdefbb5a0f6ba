#!/usr/bin/env bash
# Real pods with the real image on podman: good models let the server start, everything else holds it back.
# Arguments go to test/e2e/pods/main.ts (a part of a scenario's title).
. "$(dirname "$0")/../lib.sh"
. "$root/.ci/containers.sh"
need_manifest_tools
need_servers
need_reference_signer
need_dist
prepare_pods
E2E_IMAGE=$GATE_IMAGE E2E_SERVER_IMAGE=$SERVER_IMAGE node test/e2e/pods/main.ts "$@"
