#!/usr/bin/env bash
# Fuzzes every target of the project for the time given, one after the other.
set -euo pipefail
time=${1:-20s}
found=0
while IFS=: read -r file _ line; do
	target=$(sed -E 's/^func (Fuzz[A-Za-z0-9_]*).*/\1/' <<<"$line")
	found=$((found + 1))
	echo "== $(dirname "$file") $target"
	go test "./$(dirname "$file")" -run '^$' -fuzz "^$target\$" -fuzztime "$time"
done < <(grep -rn --include='*_test.go' '^func Fuzz' internal cmd client | sort)
echo "fuzzed $found targets for $time each"
