#!/usr/bin/env bash
# This example on podman: the first pod of a node, the second, and one after somebody changed a file.
exec bash "$(dirname "$0")/../lib/run.sh" node-cache
