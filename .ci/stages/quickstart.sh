#!/usr/bin/env bash
# examples/quickstart as far as it goes without a cluster: its pods, played by podman.
. "$(dirname "$0")/../lib.sh"
. "$root/.ci/containers.sh"
prepare_pods
E2E_IMAGE=$GATE_IMAGE E2E_SERVER_IMAGE=$SERVER_IMAGE bash examples/quickstart/run.sh podman
