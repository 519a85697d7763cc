#!/usr/bin/env bash
# Installs what is named and missing: gcc, slapd (with the LDAP tools), postgresql.
# On Debian and its relatives, as root, through apt-get; elsewhere it says what is
# missing. Nothing it installs is started or set up: tests start their own servers.
set -euo pipefail

has() {
	case $1 in
	gcc) command -v gcc ;;
	slapd) PATH=$PATH:/usr/sbin:/usr/local/sbin command -v slapd && command -v ldapsearch && command -v ldapmodify ;;
	postgresql) command -v initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' ;;
	*) echo "install-tools: unknown tool $1" >&2 && exit 2 ;;
	esac >/dev/null
}

missing=()
packages=()
for tool in "$@"; do
	has "$tool" && continue
	missing+=("$tool")
	case $tool in
	gcc) packages+=(gcc libc6-dev) ;;
	slapd) packages+=(slapd ldap-utils) ;;
	postgresql) packages+=(postgresql) ;;
	esac
done
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
	echo "Missing on this machine: ${missing[*]}. Install the packages your system has for them (as Debian's ${packages[*]})." >&2
	exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "Missing on this machine: ${missing[*]}. Run as root: scripts/install-tools.sh ${missing[*]}" >&2
	exit 1
fi

export DEBIAN_FRONTEND=noninteractive
apt() { apt-get -o DPkg::Lock::Timeout=300 -qq "$@" </dev/null >&2; }
echo "installing ${packages[*]}" >&2
apt update

# Packages start their daemons when they are installed, unless this file says no.
# Where there is one already, it is somebody's choice and stays.
policy=/usr/sbin/policy-rc.d
clusters=/etc/postgresql-common/createcluster.conf
made_policy=
made_clusters=
restore() {
	[ -z "$made_policy" ] || rm -f "$policy"
	[ -z "$made_clusters" ] || sed -i '/^create_main_cluster = false # rollcall$/d' "$clusters"
}
trap restore EXIT
if [ ! -e "$policy" ]; then
	made_policy=1
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi
for package in "${packages[@]}"; do
	case $package in
	slapd)
		apt install -y --no-install-recommends debconf
		echo 'slapd slapd/no_configuration boolean true' | debconf-set-selections
		;;
	postgresql)
		# Without this the package makes a database cluster that the machine would start at boot.
		apt install -y --no-install-recommends postgresql-common
		made_clusters=1
		echo 'create_main_cluster = false # rollcall' >>"$clusters"
		;;
	esac
done
apt install -y --no-install-recommends "${packages[@]}"
for tool in "${missing[@]}"; do
	has "$tool" || { echo "install-tools: $tool is still missing after installing ${packages[*]}" >&2 && exit 1; }
done
