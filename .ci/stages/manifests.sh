#!/usr/bin/env bash
# k8s/ and examples/: kustomize can render them, Kubernetes' schemas accept them, Pod Security "restricted" admits them.
. "$(dirname "$0")/../lib.sh"
need_manifest_tools
oldest=1.29 newest=1.37
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for overlay in k8s/overlays/*/ examples/*/kustomization.yaml; do
  overlay=${overlay%/kustomization.yaml}
  kustomize build "$overlay" >"$folder/$(basename "$overlay").yaml"
done
kustomize build examples/quickstart | diff - <(grep -v '^#' examples/quickstart/quickstart.yaml) || die 'examples/quickstart/quickstart.yaml is not what its kustomization renders; see its README'
for version in $oldest $newest; do kubernetes-validate --strict --kubernetes-version "$version" "$folder"/*.yaml; done
node test/e2e/pods/restricted.ts "$folder"/*.yaml
