#!/usr/bin/env bash
# Installs the packages of one format (deb or rpm) for real, server and agent each into a
# throw-away copy of this machine: its files with a layer over them that is gone
# afterwards. Both then run by their units' lines, users and environment files, the agent
# connects and imports, and they are told to reload and to end; the packages are
# updated and removed. systemd itself does not run there.
# packages-test.sh calls it as root in namespaces of its own, so that no process, mount or
# port meets the machine's. $3 is an empty folder.
set -euo pipefail
format=$1 packages=$2 layers=$3
fail() { echo "packages: $format: $*" >&2; exit 1; }

# copy mounts a copy of this machine for NAME at $layers/NAME/root.
copy() {
	local at=$layers/$1
	mkdir -p "$at"
	mount -t tmpfs tmpfs "$at"
	mkdir "$at/upper" "$at/work" "$at/root"
	mount -t overlay overlay -o "lowerdir=/,upperdir=$at/upper,workdir=$at/work" "$at/root"
	mount --rbind /dev "$at/root/dev"
	mount -t proc proc "$at/root/proc"
	mkdir -p "$at/root/packages"
	mount --bind "$packages" "$at/root/packages"
	rm -rf "$at/root/etc/$1" "$at/root/var/lib/rollcall" # of an installation of this very machine
}

# install and uninstall are what docs/install.md says, with the tools below apt and zypper.
install() {
	case $format in
	deb) chroot "$layers/$1/root" sh -c "dpkg --force-confold -i /packages/$1_*_$(dpkg --print-architecture).deb" ;;
	rpm) chroot "$layers/$1/root" sh -c "rpm --force-debian --nodeps --replacepkgs -U /packages/$1-[0-9]*.$(uname -m).rpm" ;;
	esac >"$layers/log" 2>&1 || { cat "$layers/log" >&2; fail "$1 is not installed"; }
}
uninstall() {
	case $format in
	deb) chroot "$layers/$1/root" dpkg -r "$1" ;;
	rpm) chroot "$layers/$1/root" rpm --force-debian --nodeps -e "$1" ;;
	esac >"$layers/log" 2>&1 || { cat "$layers/log" >&2; fail "$1 is not removed"; }
}

# as runs a line as the unit of NAME would: its user, folder and environment file, no
# rights but these. It takes the place of the shell that calls it.
as() {
	local unit=$layers/$1/root/usr/lib/systemd/system/$1.service
	said() { sed -n "s#^$1=-\\{0,1\\}##p" "$unit"; }
	exec chroot "$layers/$1/root" env -i PATH="$PATH" sh -c 'set -a && . "$1" && cd "$2" && exec setpriv --reuid="$3" --regid="$3" --init-groups --no-new-privs --bounding-set=-all -- $4' \
		sh "$(said EnvironmentFile)" "$(said WorkingDirectory)" "$(said User)" "${2:-$(said ExecStart)}"
}

# await waits for a command to succeed while a process lives.
await() {
	local process=$1 log=$2 && shift 2
	for _ in $(seq 300); do
		if ("$@") >/dev/null 2>&1; then
			return
		fi
		kill -0 "$process" 2>/dev/null || break
		sleep 0.1
	done
	cat "$log" >&2
	fail "waited in vain for: $*"
}
ready() {
	exec 3<>/dev/tcp/127.0.0.1/8080 || return 1
	printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3
	head -1 <&3 | grep -q ' 200 '
}
connected() { (as rollcall "$rollcall agents list") | grep -q ' ok '; }

ip link set lo up
for name in rollcall rollcall-agent; do
	copy $name
	install $name
	root=$layers/$name/root env=rollcall.env
	[ $name = rollcall ] || env=agent.env
	[ "$(chroot "$root" stat -c '%a %U %G' /etc/$name)" = "750 root $name" ] || fail "/etc/$name is not root's and its group's: $(chroot "$root" stat -c '%a %U %G' /etc/$name)"
	# systemd would, by StateDirectory.
	[ $name != rollcall ] || chroot "$root" install -d -m 0700 -o rollcall -g rollcall /var/lib/rollcall
	(as $name "ls /etc/$name") >/dev/null || fail "the service does not see /etc/$name"
	! (as $name "cat /etc/$name/$env") >/dev/null 2>&1 || fail "the service reads /etc/$name/$env, which is for root to give it"
	! (as $name "touch /etc/$name/x") >/dev/null 2>&1 || fail "the service writes into /etc/$name"
	if command -v systemd-analyze >/dev/null; then
		complaints=$(chroot "$root" systemd-analyze verify --man=no $name.service 2>&1 | grep -F $name.service || true)
		[ -z "$complaints" ] || fail "systemd does not like the unit: $complaints"
	fi
done

rollcall="/usr/bin/rollcall --config /etc/rollcall/rollcall.yaml"
server=$layers/rollcall/root agent=$layers/rollcall-agent/root
printf 'connections:\n  - alias: hq\n    backend: {agent: {}}\n' >>"$server/etc/rollcall/rollcall.yaml"
as rollcall >"$layers/server.log" 2>&1 &
serving=$!
await $serving "$layers/server.log" ready
(as rollcall "$rollcall agents create dc1 --connection hq") 2>/dev/null | sed 's/^/AD_CONNECT_AUTH=/' >>"$agent/etc/rollcall-agent/agent.env"
echo 'AD_CONNECT_ADDR=http://localhost:8080' >>"$agent/etc/rollcall-agent/agent.env"
echo 'backend: {csv: {path: people.csv, passwords: none}}' >"$agent/etc/rollcall-agent/adc.yaml"
printf 'username,email,first_name,last_name\njdoe,jane@example.org,Jane,Doe\n' >"$agent/etc/rollcall-agent/people.csv"
as rollcall-agent >"$layers/agent.log" 2>&1 &
reading=$!
await $reading "$layers/agent.log" connected
(as rollcall-agent "/usr/bin/rollcall agent imp") >"$layers/log" 2>&1 || { cat "$layers/log" >&2; fail "the agent imports nothing"; }
(as rollcall "$rollcall accounts list") | grep -q jdoe || fail "the agent imported nobody"
kill -HUP $serving $reading
await $reading "$layers/agent.log" grep -q 'read anew' "$layers/agent.log"
kill -TERM $reading
wait $reading || { cat "$layers/agent.log" >&2; fail "the agent ended badly"; }
kill -TERM $serving
wait $serving || { cat "$layers/server.log" >&2; fail "the server ended badly"; }
! grep -q rcg_ "$layers/server.log" "$layers/agent.log" || fail "a log has the secret"

for name in rollcall rollcall-agent; do
	root=$layers/$name/root changed=/etc/rollcall/rollcall.yaml
	[ $name = rollcall ] || changed=/etc/rollcall-agent/agent.env
	before=$(cat "$root$changed")
	install $name
	[ "$(cat "$root$changed")" = "$before" ] || fail "an update changes $changed"
	uninstall $name
	[ ! -e "$root/usr/bin/rollcall" ] || fail "removing $name leaves the program"
	[ -e "$root$changed" ] || [ -e "$root$changed.rpmsave" ] || fail "removing $name takes $changed away"
done
echo "The $format packages were installed, run, updated and removed in copies of this machine; the agent connected to the server, and imported."
