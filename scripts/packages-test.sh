#!/usr/bin/env bash
# Tries the packages in bin/packages: their sums, and the programs in them for each kind of
# machine; those of this kind are put into an empty folder, looked at, updated and
# removed, the units read by systemd, the server started as its unit does and ended; as
# root they are installed for real, in copies of this machine (packages-machine.sh). The
# image is started where it was made. What this machine has no tool for is named, and
# is not tried.
set -euo pipefail
cd "$(dirname "$0")/.."
packages=$PWD/bin/packages
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill -KILL "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
fail() { echo "packages: $*" >&2; exit 1; }
untried() { echo "Not tried: $*."; }
has() { command -v "$1" >/dev/null; }

# modes MODE FILE... looks whether files of a package are there for whom they should be.
modes() {
	local want=$1 && shift
	for file in "$@"; do
		local got
		got=$(stat -c %a "$root$file") || fail "$file is missing"
		[ "$got" = "$want" ] || fail "$file has mode $got, not $want"
	done
}

# install puts a package into $root, as far as that goes without its machine running.
install() {
	mkdir -p "$root/var/lib/dpkg/updates" "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/triggers"
	touch "$root/var/lib/dpkg/status" "$root/var/lib/dpkg/available"
	dpkg --root="$root" --log=/dev/null --force-script-chrootless --force-not-root --force-depends --force-confold "$@" >"$work/dpkg.log" 2>&1 ||
		{ cat "$work/dpkg.log" >&2; fail "dpkg $*"; }
}

# The sums are those of the files, of every one.
if has sha256sum; then
	(cd "$packages" && sha256sum --check --strict --quiet SHA256SUMS) || fail "SHA256SUMS is of other files"
else
	untried "the sums (there is no sha256sum here)"
fi
for file in "$packages"/*.deb "$packages"/*.rpm "$packages"/windows-*/*; do
	grep -q "  ${file#"$packages/"}\$" "$packages/SHA256SUMS" || fail "SHA256SUMS has no $file"
done

# for_machine looks whether a program is for a kind of machine, and needs nothing else there.
for_machine() {
	local program=$1 header want
	case $2 in
	amd64 | x86_64) want=X86-64 ;;
	arm64 | aarch64) want=AArch64 ;;
	esac
	header=$(readelf --file-header --program-headers --wide "$program") || fail "$program is no program"
	grep -q "Machine:.*$want" <<<"$header" || fail "$program is not for $2"
	! grep -q INTERP <<<"$header" || fail "$program needs libraries"
}
if has dpkg-deb && has readelf; then
	for file in "$packages"/*.deb; do
		arch=$(dpkg-deb --field "$file" Architecture)
		[[ $file == *_$arch.deb ]] || fail "$file says that it is for $arch"
		dpkg-deb --extract "$file" "$work/extracted"
		for_machine "$work/extracted/usr/bin/rollcall" "$arch"
		rm -r "$work/extracted"
	done
else
	untried "what the deb packages of each machine hold (there is no dpkg-deb or no readelf here)"
fi
if has rpm && has readelf; then
	for file in "$packages"/*.rpm; do
		arch=$(rpm --query --package --queryformat '%{ARCH}' "$file" 2>/dev/null)
		[[ $file == *.$arch.rpm ]] || fail "$file says that it is for $arch"
		mkdir "$work/extracted"
		rpm --root "$work/extracted" --nodeps --noscripts --ignorearch --install "$file" >"$work/rpm.log" 2>&1 || { cat "$work/rpm.log" >&2; fail "rpm --install $file"; }
		for_machine "$work/extracted/usr/bin/rollcall" "$arch"
		rm -r "$work/extracted"
	done
else
	untried "what the rpm packages of each machine hold (there is no rpm or no readelf here)"
fi

# The program for Windows can only be looked at: its service is tried by hand.
for arch in ${MACHINES:-amd64 arm64}; do
	about=$(go version -m "$packages/windows-$arch/rollcall.exe") || fail "there is no program for Windows on $arch"
	grep -q "GOOS=windows\$" <<<"$about" && grep -q "GOARCH=$arch\$" <<<"$about" || fail "the program for Windows on $arch is another"
done
untried "the service of Windows (this is no Windows); what of it is the same everywhere, the tests of internal/agent/service try"

# What the image is built of is there, whoever builds it.
for arch in ${MACHINES:-amd64 arm64}; do
	sed -n 's/^COPY \(--[^ ]* \)*\([^ ]*\) .*/\2/p' "$packages/image/Dockerfile" | sed "s/\${TARGETARCH}/$arch/" | while read -r source; do
		[ -e "$packages/image/$source" ] || fail "the Dockerfile copies $source, which is not there"
	done
	if has readelf; then
		for_machine "$packages/image/rollcall-linux-$arch" $arch
	fi
done
if has buildah && [ "$(id -u)" = 0 ]; then
	build() { buildah --storage-driver vfs --root "$work/images" --runroot "$work/run" "$@"; }
	for file in "$packages"/*.oci.tar; do
		arch=${file##*_} && arch=${arch%.oci.tar}
		image=$(build pull --quiet "oci-archive:$file")
		[ "$(build inspect --type image --format '{{.OCIv1.Architecture}} {{.OCIv1.Config.User}} {{.OCIv1.Config.Entrypoint}} {{.OCIv1.Config.Cmd}}' "$image")" = "$arch 65532:65532 [/usr/bin/rollcall] [serve]" ] || fail "$file is another image"
		container=$(build from --arch "$arch" "$image")
		inside=$(build mount "$container")
		for_machine "$inside/usr/bin/rollcall" "$arch"
		[ "$(stat -c %u "$inside/data")" = 65532 ] || fail "$file: its user may not write into /data"
		[ "$arch" != "$(go env GOHOSTARCH)" ] || build run --isolation chroot "$container" -- /usr/bin/rollcall version
		build rm "$container" >/dev/null
	done
else
	untried "the image (there is no buildah here, or nobody who may start it)"
fi

for format in deb rpm; do
	tool=dpkg && [ $format = deb ] || tool=rpm
	if [ "$(id -u)" = 0 ] && has $tool && has unshare && has setpriv && has ip && has systemd-sysusers && unshare --mount mount -t tmpfs tmpfs "$work" 2>/dev/null; then
		mkdir "$work/$format"
		unshare --mount --net --pid --fork --kill-child scripts/packages-machine.sh $format "$packages" "$work/$format"
	else
		untried "installing the $format packages for real (it wants root, $tool, unshare, setpriv, ip and systemd-sysusers)"
	fi
done

if ! has dpkg; then
	untried "the deb packages in a folder (there is no dpkg here)"
	exit 0
fi
machine=$(dpkg --print-architecture)
for name in rollcall rollcall-agent; do
	root=$work/$name
	deb=$(ls "$packages/${name}_"*"_$machine.deb")
	install -i "$deb"
	modes 755 /usr/bin/rollcall
	modes 644 /usr/lib/systemd/system/$name.service /usr/lib/sysusers.d/$name.conf /usr/share/doc/$name/copyright
	modes 750 /etc/$name
	env=/etc/$name/rollcall.env
	[ $name = rollcall ] || env=/etc/$name/agent.env
	modes 600 $env
	"$root/usr/bin/rollcall" version
	echo '# mine' >>"$root$env"
	install -i "$deb"
	grep -q '^# mine' "$root$env" || fail "an update forgets what stands in $env"
	if has systemd-analyze; then
		unit=$work/$name.service
		sed "s#=/usr/bin/#=$root/usr/bin/#" "$root/usr/lib/systemd/system/$name.service" >"$unit"
		complaints=$(systemd-analyze verify --man=no "$unit" 2>&1 | grep -F "$name.service" || true)
		[ -z "$complaints" ] || fail "systemd does not like the unit: $complaints"
	else
		untried "the unit of $name (there is no systemd here)"
	fi
	install --remove $name
	[ ! -e "$root/usr/bin/rollcall" ] || fail "removing $name leaves the program"
	[ -e "$root$env" ] || fail "removing $name takes $env away"
	install -i "$deb"
done

# The server, by its own configuration but for where the database lies and the port.
root=$work/rollcall
line=$(sed -n 's#^ExecStart=##p' "$root/usr/lib/systemd/system/rollcall.service" | sed "s#/usr/bin/#$root/usr/bin/#; s#/etc/#$root/etc/#")
port=$((20000 + RANDOM % 20000))
ROLLCALL_DATABASE=sqlite:$work/rollcall.db ROLLCALL_LISTEN=127.0.0.1:$port $line >"$work/out" 2>"$work/log" &
server=$!
ready() {
	exec 3<>"/dev/tcp/127.0.0.1/$port" || return 1
	printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3
	head -1 <&3 | grep -q ' 200 '
}
up=
for _ in $(seq 300); do
	if (ready) 2>/dev/null; then
		up=yes
		break
	fi
	kill -0 "$server" 2>/dev/null || break
	sleep 0.1
done
[ -n "$up" ] || { cat "$work/log" >&2; fail "the server does not start"; }
kill -HUP "$server"
kill -TERM "$server"
wait "$server" || { cat "$work/log" >&2; fail "the server ended badly"; }
server=
echo "Both packages were installed, updated and removed in a folder, and the server started and ended."
