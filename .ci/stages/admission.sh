#!/usr/bin/env bash
# k8s/admission, evaluated as the API server does: allowed and denied pods, each with its message, on the oldest and the newest Kubernetes.
. "$(dirname "$0")/../lib.sh"
need_manifest_tools
cd test/admission
go vet ./...
go test -count=1 ./...
