#!/usr/bin/env bash
# Makes the packages of server and agent (deb and rpm) and what the image is built of,
# into bin/packages, with the nfpm that is named. VERSION=1.2.3 says which release it is,
# MACHINES="amd64" for which machines, in the place of all.
set -euo pipefail
nfpm=$1
out=bin/packages
mkdir -p "$out/image/data"
rm -f "$out"/*.deb "$out"/*.rpm
touch "$out/image/data/.keep" # COPY takes no empty folder everywhere

for GOARCH in ${MACHINES:-amd64 arm64}; do
	export GOARCH BINARY=$out/image/rollcall-linux-$GOARCH
	CGO_ENABLED=0 GOOS=linux go build -trimpath -ldflags '-s -w' -o "$BINARY" ./cmd/rollcall
	if [ -z "${VERSION:-}" ]; then
		VERSION=$(go version -m "$BINARY" | awk '$1 == "mod" {sub(/^v/, "", $3); sub(/\+dirty$/, "", $3); print $3}')
		[[ $VERSION == [0-9]* ]] || VERSION=0.0.0
	fi
	export VERSION
	for name in rollcall rollcall-agent; do
		for format in deb rpm; do
			"$nfpm" package --config "packaging/$name.nfpm.yaml" --packager $format --target "$out/" >/dev/null
		done
	done
done

# The authorities that this machine trusts are those the image trusts.
roots=
for file in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
	[ -n "$roots" ] || [ ! -r $file ] || roots=$file
done
[ -n "$roots" ] || { echo "packages: this machine has no list of certificate authorities for the image" >&2 && exit 1; }
cp "$roots" "$out/image/ca-certificates.crt"
cp packaging/Dockerfile "$out/image/"
ls -1 "$out"/*.deb "$out"/*.rpm
echo "$out/image (docker build -t rollcall $out/image)"
