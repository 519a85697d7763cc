#!/usr/bin/env bash
# Installs what is named and missing: gcc, slapd (with the LDAP tools), postgresql,
# samba (a domain controller), 389ds, apacheds (with the Java it runs on), node (with npm),
# chromium, apache-oidc (Apache with mod_auth_openidc).
# On Debian and its relatives, as root, through apt-get; elsewhere it says what is
# missing. Nothing it installs is started or set up: tests start their own servers.
set -euo pipefail

# ApacheDS dies at its start without libraries that its package does not ask for.
apacheds_jars=(apache-directory-api-all apacheds-jdbm1 mina2-core commons-lang bcprov xpp3 mavibot dom4j commons-pool caffeine commons-collections4
	commons-lang3 commons-text commons-codec commons-io slf4j-api slf4j-log4j12)

has_apacheds() {
	command -v java && command -v openssl && command -v ldapmodify && [ -e /usr/share/apacheds/lib ] || return 1
	for jar in "${apacheds_jars[@]}"; do
		[ -e "/usr/share/java/$jar.jar" ] || return 1
	done
}

has() {
	case $1 in
	gcc) command -v gcc ;;
	slapd) PATH=$PATH:/usr/sbin:/usr/local/sbin command -v slapd && command -v ldapsearch && command -v ldapmodify ;;
	postgresql) command -v initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' ;;
	samba) PATH=$PATH:/usr/sbin command -v samba && command -v samba-tool && command -v ldbmodify && [ -e /usr/share/samba/setup/provision.ldif ] ;;
	389ds) PATH=$PATH:/usr/sbin command -v ns-slapd && command -v certutil && command -v pk12util && command -v openssl && command -v ldapmodify ;;
	apacheds) has_apacheds ;;
	node) command -v node && command -v npm ;;
	chromium) command -v chromium ;;
	apache-oidc) [ -x /usr/sbin/apache2 ] && [ -e /usr/lib/apache2/modules/mod_auth_openidc.so ] ;;
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
	node) packages+=(nodejs npm) ;;
	chromium) packages+=(chromium fonts-noto-core) ;;
	apache-oidc) packages+=(apache2 libapache2-mod-auth-openidc) ;;
	slapd) packages+=(slapd ldap-utils) ;;
	postgresql) packages+=(postgresql) ;;
	samba) packages+=(samba samba-ad-dc samba-ad-provision samba-dsdb-modules samba-vfs-modules winbind ldb-tools) ;;
	389ds) packages+=(389-ds-base libnss3-tools openssl ldap-utils) ;;
	apacheds)
		packages+=(apacheds default-jre-headless openssl ldap-utils libapache-directory-api-java libapache-directory-jdbm-java libmina2-java libcommons-lang-java
			libbcprov-java libxpp3-java libmavibot-java libdom4j-java libcommons-pool-java libcaffeine-java libcommons-collections4-java
			libcommons-lang3-java libcommons-text-java libcommons-codec-java libcommons-io-java libslf4j-java)
		;;
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
# A package of a daemon also has it started at the next boot. Units that were not
# enabled before are disabled again.
units() { { find /etc/systemd/system -path '*.wants/*.service' -printf '%f\n' 2>/dev/null || true; } | sort -u; }
enabled=$(units)
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
if command -v systemctl >/dev/null; then
	comm -13 <(echo "$enabled") <(units) | while read -r unit; do systemctl disable --quiet "$unit" </dev/null >&2 || true; done
fi
for tool in "${missing[@]}"; do
	has "$tool" || { echo "install-tools: $tool is still missing after installing ${packages[*]}" >&2 && exit 1; }
done
