#!/usr/bin/env bash
# Small versions of the benchmark: fails when a pull or verify takes more than 25 % more CPU seconds, in ratio to its peer, than it did.
. "$(dirname "$0")/../lib.sh"
need_servers
need_bench_quick_peers
npm run bench:quick
