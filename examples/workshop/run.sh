#!/usr/bin/env bash
# Does the exercises in order and prints a table. On kind when kubectl points at a kind cluster, otherwise with podman.
#   run.sh [--podman | --cluster] [NN]     NN: one exercise; --cluster: the cluster kubectl points at, whatever it is
# Needs `npm ci && npm run build` in the repository, and the two images; see README.md.
set -euo pipefail
cd "$(dirname "$0")"
PATH="$PWD/../../node_modules/.bin:$PATH" exec node run/main.ts "$@"
