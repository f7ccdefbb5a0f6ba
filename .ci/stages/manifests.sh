#!/usr/bin/env bash
# k8s/ and examples/: kustomize can render them, Kubernetes' schemas accept them, Pod Security "restricted" admits them.
# Custom resources, which Kubernetes has no schemas of, are test/k8s/customResources.test.ts; the policies are the stage admission.
. "$(dirname "$0")/../lib.sh"
need_manifest_tools
oldest=1.29 newest=1.37
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# Components alone are no manifests; each is in an overlay.
find k8s examples -name kustomization.yaml -not -path 'k8s/components/*' -printf '%h\n' | while read -r path; do
  kustomize build "$path" >"$folder/${path//\//-}.yaml"
done
for component in $(find k8s/components -name kustomization.yaml -printf '%P\n' | xargs -n 1 dirname); do
  grep -rqE -- "- (../../components/)?(${component}|${component##*/})$" k8s --include kustomization.yaml || die "no overlay has the component $component"
done
for overlay in k8s/overlays/*/; do
  grep -q "\`$(basename "$overlay")\`" k8s/README.md || die "k8s/README.md does not name $overlay"
done
kustomize build examples/quickstart | diff - <(grep -v '^#' examples/quickstart/quickstart.yaml) || die 'examples/quickstart/quickstart.yaml is not what its kustomization renders; see its README'

# validate VERSION FILE...: strictly; only custom resources may be without a schema.
validate() {
  local version=$1 said
  shift
  said=$(kubernetes-validate --strict --kubernetes-version "$version" "$@" 2>&1) || die "Kubernetes $version: $(grep -v passed <<<"$said")"
  said=$(grep "Couldn't find schema" <<<"$said" | grep -vE 'serving\.kserve\.io|ml\.sigstore\.dev') && die "Kubernetes $version: $said"
  echo "ok    $# files, Kubernetes $version"
}
cd "$folder"
mapfile -t since_1_35 < <(grep -l restartPolicyRules ./*.yaml)
mapfile -t since_1_30 < <(grep -l ValidatingAdmissionPolicy ./*.yaml)
mapfile -t others < <(grep -LE 'restartPolicyRules|ValidatingAdmissionPolicy' ./*.yaml)
validate "$oldest" "${others[@]}"
validate 1.30 "${since_1_30[@]}"
validate 1.35 "${since_1_35[@]}"
validate "$newest" ./*.yaml
cd "$root"
# The one that says so itself is refused, and by nothing else than its volume.
said=$(node test/e2e/pods/restricted.ts "$folder"/k8s-overlays-node-cache.yaml) && die 'a hostPath passes as "restricted"'
[ "$(grep -A 9 '^WRONG' <<<"$said" | sed -n '2,$p' | head -n -1)" = '      volume models is hostPath' ] || die "$said"
rm "$folder"/k8s-overlays-node-cache.yaml
node test/e2e/pods/restricted.ts "$folder"/*.yaml
