#!/usr/bin/env bash
# The README's other command, after the `npm ci` of the first stage.
. "$(dirname "$0")/../lib.sh"
npm run demo
