#!/usr/bin/env bash
# IGNORE_STATIC=1 leaves out what modules make when they are loaded.
# Mutation testing of pure folders, on demand: npm run mutation -- oms policy/pattern.ts,policy/match.ts (two runs). Stryker is installed into a copy of the project in the cache, not
# into the project: it is used now and then, and needs more packages than everything else together.
set -euo pipefail
source "$(dirname "$0")/../../.ci/lib.sh"

parts=("$@")
[ $# -gt 0 ] || parts=(oms policy)
STRYKER=(@stryker-mutator/core@10.1.1 @stryker-mutator/vitest-runner@10.1.1)

copy=$cache/mutation
mkdir -p "$copy"
for piece in src test build docs examples package.json package-lock.json; do
  rm -rf "${copy:?}/$piece"
  cp -a "$root/$piece" "$copy/$piece"
done
if [ "$(cat "$copy/installed" 2>/dev/null)" != "$(sha256sum <"$root/package-lock.json") ${STRYKER[*]}" ]; then
  rm -rf "$copy/node_modules"
  cp -al "$root/node_modules" "$copy/node_modules" 2>/dev/null || cp -a "$root/node_modules" "$copy/node_modules"
  (cd "$copy" && npm install --no-save --no-audit --no-fund --ignore-scripts --silent "${STRYKER[@]}")
  printf '%s' "$(sha256sum <"$root/package-lock.json") ${STRYKER[*]}" >"$copy/installed"
fi

cd "$copy"
status=0
for part in "${parts[@]}"; do
  # Without a threshold of its own Stryker would pass with any score.
  MUTATED=$part "$copy/node_modules/.bin/stryker" run test/mutation/stryker.config.mjs || status=$?
  [ ! -f reports/mutation.json ] || node "$root/test/mutation/summary.ts" reports/mutation.json "$part"
done
exit "$status"
