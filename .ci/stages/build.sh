#!/usr/bin/env bash
# The bundle, and that it runs without node_modules.
. "$(dirname "$0")/../lib.sh"
npm run build
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp -r dist "$folder/"
node "$folder/dist/main.js" --version
code=0
node "$folder/dist/main.js" verify "$folder" 2>/dev/null >&2 || code=$?
[ "$code" = 2 ] || die "without trust the bundle exits with $code, not 2"
du -sh dist
