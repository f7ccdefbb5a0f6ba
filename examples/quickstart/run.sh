#!/usr/bin/env bash
# A genuine model is served, a tampered one is not.
#   run.sh           on the cluster kubectl points at (needs the image model-gate:dev on its nodes)
#   run.sh podman    on this machine, without a cluster (needs npm ci, podman, kustomize and the image)
set -euo pipefail
cd "$(dirname "$0")"
namespace=model-gate-quickstart

on_podman() {
  PATH="$PWD/../../node_modules/.bin:$PATH" node ../../test/e2e/pods/quickstart.ts
}

on_cluster() {
  kubectl apply -f quickstart.yaml
  kubectl -n "$namespace" wait --for=condition=Ready pod/model-server-genuine --timeout=180s
  # The init container ends with 1; nothing but a new model could change that.
  kubectl -n "$namespace" wait --for=jsonpath='{.status.initContainerStatuses[0].lastState.terminated.exitCode}'=1 pod/model-server-tampered --timeout=180s
  kubectl -n "$namespace" get pods
  for pod in model-server-genuine model-server-tampered; do
    printf '\n%s: ' "$pod"
    kubectl -n "$namespace" get pod "$pod" \
      -o jsonpath='{.status.initContainerStatuses[0].state.terminated.message}{.status.initContainerStatuses[0].lastState.terminated.message}{"\n"}'
  done
  started=$(kubectl -n "$namespace" get pod model-server-tampered -o jsonpath='{.status.containerStatuses[0].started}')
  [ "$started" != true ] || {
    echo 'the server of the tampered model was started' >&2
    return 1
  }
  echo "Clean up: kubectl delete namespace $namespace"
}

case ${1:-cluster} in
  podman) on_podman ;;
  cluster) on_cluster ;;
  *)
    sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
