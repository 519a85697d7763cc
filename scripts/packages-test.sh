#!/usr/bin/env bash
# Tries the packages in bin/packages: the deb of this machine's kind is installed into an
# empty folder, what lies there is looked at, the units are read by systemd, and the
# server is started as its unit does and ended. What this machine has no tool for is
# named, and is not tried.
set -euo pipefail
cd "$(dirname "$0")/.."
packages=$PWD/bin/packages
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill -KILL "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
fail() { echo "packages: $*" >&2; exit 1; }

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

if ! command -v dpkg >/dev/null; then
	echo "Not tried: the deb packages (there is no dpkg here)."
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
	if command -v systemd-analyze >/dev/null; then
		unit=$work/$name.service
		sed "s#=/usr/bin/#=$root/usr/bin/#" "$root/usr/lib/systemd/system/$name.service" >"$unit"
		complaints=$(systemd-analyze verify --man=no "$unit" 2>&1 | grep -F "$name.service" || true)
		[ -z "$complaints" ] || fail "systemd does not like the unit: $complaints"
	else
		echo "Not tried: the unit of $name (there is no systemd here)."
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
command -v rpm >/dev/null || echo "Not tried: the rpm packages (there is no rpm here)."
