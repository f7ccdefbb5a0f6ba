#!/usr/bin/env bash
# Installs what the later stages need, so that their times are their own. Each of them would install it itself, too.
. "$(dirname "$0")/../lib.sh"
need_servers
need_rclone
need_reference_signer
need_picklescan
need_lint_tools
need_manifest_tools
need_containers
printf '%s\n' "versitygw ${VERSITYGW##*@}, rclone ${RCLONE##*=}, kustomize ${KUSTOMIZE##*@}, $(nginx -v 2>&1), $(podman --version), $(buildah --version | cut -d' ' -f1-3), $(model_signing --version)"
