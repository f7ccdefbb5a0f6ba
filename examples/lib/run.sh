#!/usr/bin/env bash
# Plays the pods of an example on podman, with real servers on loopback: run.sh NAME (a folder beside this one), or nothing for all.
# Needs npm ci, npm run build, podman, kustomize, nginx, versitygw, model_signing, and the images of .ci/stages/image.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
PATH="$PWD/../../node_modules/.bin:$PATH" exec node examples.ts "$@"
