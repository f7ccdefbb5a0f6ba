#!/usr/bin/env bash
# The code, and the promise that what the README shows is what runs here.
. "$(dirname "$0")/../lib.sh"
npm run lint
for command in 'npm ci && npm test' 'npm ci && npm run demo'; do
  grep -qF "$command" README.md || die "README.md does not show: $command"
done
for script in .ci/run .ci/*.sh .ci/stages/*.sh examples/*/*.sh; do bash -n "$script"; done
