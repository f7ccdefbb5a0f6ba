#!/usr/bin/env bash
# This example on podman: a good model, then ones that have to be held back.
exec bash "$(dirname "$0")/../lib/run.sh" pvc-certificate
