#!/usr/bin/env bash
# The format's verification vectors, a checkout beside this one. Exit 77: they are not there.
. "$(dirname "$0")/../lib.sh"
runner=../shared/vectors/run.py
# Where the specification's text and the implementations disagree, docs/oms-decisions.md says why we differ from the strict reading.
decided='cert-expired shards-zero-byte-extra'
if [ ! -f "$runner" ]; then
  echo "The vectors are not on this machine ($runner): not run."
  exit 77
fi
need_dist
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
ln -s "$root/dist/main.js" "$folder/model_signing"
cli="$(command -v node) $folder/model_signing"

for style in 1.1.1 hyphen; do
  echo "--- flags as in $style"
  python3 "$runner" --cli "$cli" --jobs "$(nproc)" --flag-style "$style" --json "$folder/$style.json"
done
# Strictness only judges the verdicts that were just given.
# shellcheck disable=SC2086 # several names
python3 - "$folder/1.1.1.json" $decided <<'PYTHON'
import json, sys
results, decided = json.load(open(sys.argv[1])), set(sys.argv[2:])
off = {case["id"] for case in results if case["disputed"] and case["verdict"] != case["expect"]}
print(f"strict reading: {sum(case['disputed'] for case in results)} disputed cases, decided otherwise: {', '.join(sorted(off)) or 'none'}")
sys.exit(0 if off == decided else f"expected to differ in: {', '.join(sorted(decided))}")
PYTHON

echo '--- fresh bundles of ours under the published schemas'
node test/conformance/schemas.ts ../shared/spec/schemas
