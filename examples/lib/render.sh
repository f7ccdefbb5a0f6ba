#!/usr/bin/env bash
# Renders a kustomization and validates it, without a cluster: render.sh EXAMPLE FOLDER. What is printed has to be what the example's page shows.
# Needs npm ci, kustomize, and kubernetes-validate (PyPI).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
page=$root/examples/$1/README.md
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
PATH="$root/node_modules/.bin:$PATH"
kustomize build "$root/$2" >"$folder/rendered.yaml"
kubernetes-validate --strict --kubernetes-version 1.37 "$folder/rendered.yaml" >"$folder/said" 2>&1 || { cat "$folder/said"; exit 1; }
{
  # Without the hash at the end of a generated name.
  sed -nE 's/^INFO .* (passed for resource [^ ]+) against.*/\1/; s/^WARN .*Couldn.t find (schema for kind [^ ]+) .*/no \1/; s/^(passed .*)-[a-z0-9]{10}$/\1/; /^(passed|no) /p' "$folder/said" | sort -u
  # Its status is not looked at: where others make the pods, there are none, and the page says so.
  node "$root/test/e2e/pods/restricted.ts" "$folder/rendered.yaml" || true
} | tee "$folder/printed"
# shellcheck disable=SC2016 # Markdown's backquotes
sed -n '/^```text$/,/^```$/p' "$page" | sed '1d;$d' | diff - "$folder/printed" || { echo "WRONG: examples/$1/README.md shows something else"; exit 1; }
