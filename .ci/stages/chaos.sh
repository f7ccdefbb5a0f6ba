#!/usr/bin/env bash
# A few trials of every fault of docs/reliability.md: each part for at most 3 minutes. The last line is "N passed, N failed".
. "$(dirname "$0")/../lib.sh"
need_apt strace strace
need_apt prlimit util-linux
need_apt - libfaketime
npm run build
failed=0 total=0 output=$(mktemp)
for part in server kill power resources change torture torture-claim soak; do
  code=0
  timeout --kill-after=9 180 node test/chaos/chaos.ts --quick --only "$part" --seed "${CHAOS_SEED:-$RANDOM}" | tee "$output" || code=$?
  rows=$(grep -c "^| ${part%-claim} |" "$output" || true) bad=$(grep -c '^FAILED ' "$output" || true)
  # A part that was cut short, or that says nothing, has failed as well.
  if [ "$code" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1 rows=$((rows + 1)); fi
  total=$((total + rows)) failed=$((failed + bad))
done
printf '%s passed, %s failed\n' "$((total - failed))" "$failed"
[ "$failed" -eq 0 ] && [ "$total" -gt 0 ]
