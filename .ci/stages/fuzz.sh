#!/usr/bin/env bash
# Two minutes of fuzzing, with another seed each time, which is printed.
. "$(dirname "$0")/../lib.sh"
npm run -s fuzz -- --seconds "${FUZZ_SECONDS:-120}"
