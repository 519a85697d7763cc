#!/usr/bin/env bash
# Runs govulncheck. Findings fail. Its database comes from the network: where it
# cannot be reached the check was not run, and this says so and does not fail.
set -uo pipefail
out=$("$1" ./... 2>&1)
status=$?
case $status in
0) echo "govulncheck: $(tail -n 1 <<<"$out")" && exit 0 ;;
3) echo "$out" && exit 1 ;;
esac
if grep -Eq 'vuln\.go\.dev|fetching vulnerabilities|dial tcp|no such host|proxyconnect|TLS handshake|connection refused' <<<"$out"; then
	echo "not run: govulncheck, because its database cannot be reached from here ($(grep -Em1 'vuln\.go\.dev|fetching|dial|host|proxy|TLS|refused' <<<"$out"))"
	exit 0
fi
echo "$out"
exit 1
