#!/usr/bin/env bash
# Fails with a sentence when the machine's Go is missing or too old.
set -euo pipefail
want=$(awk '$1 == "go" {print $2}' go.mod)
if ! command -v go >/dev/null; then
	echo "Rollcall is built with Go $want or newer, and there is no go on the PATH. Install it from https://go.dev/dl/." >&2
	exit 1
fi
if ! have=$(go env GOVERSION 2>&1); then
	echo "Rollcall is built with Go $want or newer: $have" >&2
	exit 1
fi
have=${have#go}
have=${have%% *}
if [ "$(printf '%s\n%s\n' "$want" "$have" | sort -V | head -n 1)" != "$want" ]; then
	echo "Rollcall is built with Go $want or newer; this machine has $have. Install a newer one from https://go.dev/dl/." >&2
	exit 1
fi
