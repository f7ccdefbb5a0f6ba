#!/usr/bin/env bash
# The format's verification vectors, a checkout beside this one. Exit 77: they are not there.
. "$(dirname "$0")/../lib.sh"
runner=../shared/vectors/run.py
required='basic certificate dsse historical hashing malformed shards sigstore sigstore-private spec-vectors statement tamper'
if [ ! -f "$runner" ]; then
  echo "The vectors are not on this machine ($runner): not run."
  exit 77
fi
need_dist
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
ln -s "$root/dist/main.js" "$folder/model_signing"
node=$(command -v node)
python3 "$runner" --cli "$node $folder/model_signing" --jobs "$(nproc)" --json "$folder/results.json" || true
python3 - "$folder/results.json" $required <<'PYTHON'
import collections, json, sys
results, required = json.load(open(sys.argv[1])), sys.argv[2:]
table = collections.defaultdict(list)
for case in results:
    table[case["category"]].append(case["ok"])
for name in sorted(table, key=lambda n: (n not in required, n)):
    print(f"{name:18} {sum(table[name]):4} of {len(table[name]):4}  {'required' if name in required else 'not required yet'}")
wrong = [name for name in required if name not in table or not all(table[name])]
sys.exit(f"not complete: {', '.join(wrong)}" if wrong else 0)
PYTHON
