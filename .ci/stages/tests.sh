#!/usr/bin/env bash
# The README's test command, word for word, on the machine's own Node.
set -euo pipefail
cd "$(dirname "$0")/../.."
npm ci && npm test
