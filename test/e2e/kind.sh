#!/usr/bin/env bash
# What only a cluster can show, on a kind cluster of its own that is removed afterwards. Needs docker, kind and kubectl, npm ci and npm run build,
# and the internet. The first check that fails ends it, with a status other than 0.
#   test/e2e/kind.sh [KUBERNETES_NODE_IMAGE]
set -euo pipefail
cd "$(dirname "$0")/../.."
for tool in docker kind kubectl; do command -v "$tool" >/dev/null || { echo "$tool is not installed" >&2; exit 2; }; done

cluster=model-gate-e2e
export KUBECONFIG
KUBECONFIG=$(mktemp)
trap 'kind delete cluster --name "$cluster"; rm -f "$KUBECONFIG"' EXIT

# denied MESSAGE: the API server refuses the pod on standard input, with this message.
denied() {
  local said
  if said=$(kubectl create --dry-run=server -f - 2>&1); then
    echo "admitted, but should have been refused: $1" >&2
    return 1
  fi
  grep -qF "$1" <<<"$said" || { printf 'refused, but not with "%s": %s\n' "$1" "$said" >&2; return 1; }
  echo "refused: $1"
}

docker build --tag model-gate:dev .
docker build --tag model-gate-workshop-server:dev examples/workshop/server
kind create cluster --name "$cluster" --wait 180s ${1:+--image "$1"}
kind load docker-image model-gate:dev --name "$cluster"

echo '--- a genuine model is served, a tampered one is not'
bash examples/quickstart/run.sh

echo '--- the exercises of the workshop'
bash examples/workshop/run.sh --cluster

echo '--- the API server accepts everything that needs no other project'
for folder in k8s/overlays/*/ k8s/job/ k8s/vllm/; do kubectl apply --dry-run=server -k "$folder"; done

echo '--- the admission policies: the pod they are made for is let through, others are not'
kubectl apply -k k8s/admission
kubectl apply -k k8s/admission/namespace
# The API server looks at new policies after a while; from then on a pod without the gate is refused.
gateless='{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "gateless", "namespace": "inference"}, "spec": {
  "securityContext": {"runAsNonRoot": true, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
  "containers": [{"name": "server", "image": "docker.io/library/busybox:1.37.0", "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]}}'
for _ in $(seq 30); do
  if ! kubectl create --dry-run=server -f - <<<"$gateless" >/dev/null 2>&1; then break; fi
  sleep 2
done
denied 'no init container with an image of the list' <<<"$gateless"
# The Deployment's own pods come from its ReplicaSet, so they are asked for as a pod.
kubectl -n inference get deployment model-server -o json |
  node -e 'const { spec: { template } } = JSON.parse(require("fs").readFileSync(0)); console.log(JSON.stringify({ apiVersion: "v1", kind: "Pod", metadata: { ...template.metadata, name: "with-gate", namespace: "inference" }, spec: template.spec }))' |
  kubectl create --dry-run=server -f -
echo 'kind: all passed'
