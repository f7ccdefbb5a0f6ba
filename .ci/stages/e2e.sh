#!/usr/bin/env bash
# The built program against real servers: versitygw, rclone, nginx, models signed by the reference implementation.
. "$(dirname "$0")/../lib.sh"
need_servers
need_rclone
need_reference_signer
need_other_verifier
need_picklescan
need_apt chromium chromium
need_dist
MODEL_GATE_E2E=1 npm run e2e
echo '--- what we sign, by another verifier'
MODEL_GATE_E2E=1 E2E_VERIFIER=rh_model_signing npm run e2e -- test/e2e/signer.test.ts
