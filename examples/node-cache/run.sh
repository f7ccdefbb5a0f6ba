#!/usr/bin/env bash
# Rendered and validated, not run: see README.md.
exec bash "$(dirname "$0")/../lib/render.sh" node-cache k8s/overlays/node-cache
