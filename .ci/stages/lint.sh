#!/usr/bin/env bash
# The code, and the promise that what the README shows is what runs here.
. "$(dirname "$0")/../lib.sh"
npm run lint
for command in 'npm ci && npm test' 'npm ci && npm run demo'; do
  grep -qF "$command" README.md || die "README.md does not show: $command"
done
need_lint_tools
# runc-norlimit is Python; what a sourced file defines and uses of its caller cannot be seen from one file.
mapfile -t scripts < <(git ls-files '*.sh' .ci/run)
shellcheck --external-sources --source-path=SCRIPTDIR --exclude=SC2034,SC2154 "${scripts[@]}"
# Workflows: their syntax and scripts; then what makes them attackable (unpinned actions, kept credentials, injected expressions).
actionlint
zizmor --offline --quiet .github
echo "${#scripts[@]} scripts, $(find .github/workflows -name '*.yml' | wc -l) workflows"
