#!/usr/bin/env bash
# examples/: s3, http-key, pvc-certificate, private-sigstore and node-cache as real pods on podman, with real servers and real signatures.
# Then those that need what is not here (a cluster's KServe, a GPU, Sigstore), rendered and validated.
# Arguments: one example's name, of those with pods.
. "$(dirname "$0")/../lib.sh"
. "$root/.ci/containers.sh"
need_manifest_tools
need_servers
need_reference_signer
need_dist
prepare_pods
E2E_IMAGE=$GATE_IMAGE E2E_SERVER_IMAGE=$SERVER_IMAGE bash examples/lib/run.sh "$@"
[ $# -eq 0 ] || exit 0
for example in keyless kserve vllm; do
  printf '\n%s, rendered\n' "$example"
  bash "examples/$example/run.sh"
done
