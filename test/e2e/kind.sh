#!/usr/bin/env bash
# What only a cluster can show, on a kind cluster of its own that is removed afterwards. Needs docker, kind and kubectl, and the internet.
#   test/e2e/kind.sh [KUBERNETES_NODE_IMAGE]
set -euo pipefail
cd "$(dirname "$0")/../.."
for tool in docker kind kubectl; do command -v "$tool" >/dev/null || { echo "$tool is not installed" >&2; exit 2; }; done

cluster=model-gate-e2e
export KUBECONFIG
KUBECONFIG=$(mktemp)
trap 'kind delete cluster --name "$cluster"; rm -f "$KUBECONFIG"' EXIT

docker build --tag model-gate:dev .
kind create cluster --name "$cluster" --wait 180s ${1:+--image "$1"}
kind load docker-image model-gate:dev --name "$cluster"

echo '--- a genuine model is served, a tampered one is not'
bash examples/quickstart/run.sh

echo '--- the API server accepts every overlay'
for overlay in k8s/overlays/*/; do
  # A dry run makes no namespaces, so those that an overlay names have to be there first.
  kubectl kustomize "$overlay" | sed -n 's/^  namespace: //p' | sort -u | while read -r namespace; do
    kubectl get namespace "$namespace" >/dev/null 2>&1 || kubectl create namespace "$namespace"
  done
  kubectl apply --dry-run=server -k "$overlay"
done

echo '--- and the admission policies'
kubectl apply -k k8s/admission
echo 'kind: all passed'
