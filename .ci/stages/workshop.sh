#!/usr/bin/env bash
# examples/workshop as far as it goes without a cluster: all exercises, their pods played by podman, each page compared with what happened.
# Arguments go to run.sh (the number of an exercise).
. "$(dirname "$0")/../lib.sh"
. "$root/.ci/containers.sh"
need_manifest_tools
need_reference_signer # its Python has the pip that fetches the model
need_go versitygw "$VERSITYGW" # the S3 server of exercise 10
need_dist
folder=examples/workshop
hadolint "$folder/server/Dockerfile"
kubernetes-validate --strict --kubernetes-version 1.29 "$folder/cluster.yaml" "$folder"/*/{source,claim,credentials}.yaml >/dev/null
node test/e2e/pods/restricted.ts "$folder/cluster.yaml" "$folder"/*/source.yaml
prepare_pods
build_workshop_server
build_s3
PATH="$cache/python-reference/bin:$PATH" E2E_IMAGE=$GATE_IMAGE E2E_SERVER_IMAGE=$SERVER_IMAGE WORKSHOP_SERVER_IMAGE=$WORKSHOP_IMAGE WORKSHOP_S3_IMAGE=$S3_IMAGE bash "$folder/run.sh" --podman "$@"
