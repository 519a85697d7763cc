#!/usr/bin/env bash
# Makes the packages of server and agent (deb and rpm), the program for Windows, what the
# image is built of, the image where buildah is, and a list of sums, into bin/packages, with the nfpm that is named. VERSION=1.2.3 says which release it is,
# MACHINES="amd64" for which machines, in the place of all.
set -euo pipefail
nfpm=$1
out=bin/packages
mkdir -p "$out/image/data"
rm -rf "$out"/windows-*
rm -f "$out"/*.deb "$out"/*.rpm "$out"/*.oci.tar "$out"/SHA256SUMS
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
	# On Windows the program installs itself: rollcall agent service install.
	CGO_ENABLED=0 GOOS=windows go build -trimpath -ldflags '-s -w' -o "$out/windows-$GOARCH/rollcall.exe" ./cmd/rollcall
done

# The authorities that this machine trusts are those the image trusts.
roots=
for file in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
	[ -n "$roots" ] || [ ! -r $file ] || roots=$file
done
[ -n "$roots" ] || { echo "packages: this machine has no list of certificate authorities for the image" >&2 && exit 1; }
cp "$roots" "$out/image/ca-certificates.crt"
cp packaging/Dockerfile "$out/image/"

# The image as a file that podman, skopeo and others load. Docker builds it from the folder.
if command -v buildah >/dev/null; then
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	build() { buildah --storage-driver vfs --root "$work/images" --runroot "$work/run" "$@"; }
	for arch in ${MACHINES:-amd64 arm64}; do
		build bud --quiet --isolation chroot --platform "linux/$arch" --build-arg "TARGETARCH=$arch" -t "rollcall:$VERSION" "$out/image" >/dev/null
		build push --quiet "rollcall:$VERSION" "oci-archive:$out/rollcall_${VERSION}_$arch.oci.tar:rollcall:$VERSION"
	done
else
	echo "Not made: the image as a file (there is no buildah here). Docker makes it from $out/image."
fi

sum=(sha256sum)
command -v sha256sum >/dev/null || sum=(shasum -a 256) # macOS
(cd "$out" && find . -type f ! -path './image/*' ! -name SHA256SUMS | sed 's#^\./##' | LC_ALL=C sort | xargs "${sum[@]}" >SHA256SUMS && cat SHA256SUMS)
echo "$out/SHA256SUMS"
echo "$out/image (docker build -t rollcall $out/image)"
