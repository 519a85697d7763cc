#!/usr/bin/env bash
# A demonstration on the command line: a sample OpenLDAP directory, its people
# planned, synchronised, listed, changed and synchronised again. Everything lives
# in a temporary folder and is gone at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
bold='' plain=''
if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; fi

make --no-print-directory build
go build -o bin/rig ./internal/rig/cmd/rig
rollcall=$PWD/bin/rollcall
rig=$PWD/bin/rig
work=$(mktemp -d "${TMPDIR:-/tmp}/rollcall-demo.XXXXXX")
server=
finish() {
	if [ -n "$server" ]; then
		kill -INT "$server" 2>/dev/null || true
		wait "$server" 2>/dev/null || true
	fi
	rm -rf "$work"
}
trap finish EXIT

directory=(-people 300 -groups 12 -largest 60 -broken 6)
"$rig" openldap "${directory[@]}" -env "$work/ldap.env" >"$work/rig.log" 2>&1 &
server=$!
until [ -e "$work/ldap.env" ]; do
	kill -0 "$server" 2>/dev/null || { cat "$work/rig.log" >&2 && exit 1; }
	sleep 0.1
done
. "$work/ldap.env"

cd "$work"
cat >rollcall.yaml <<YAML
database: sqlite:rollcall.db
connections:
  - alias: demo
    role: employee
    region: BE
    backend:
      ldap:
        addr: $LDAP_URL
        bind_dn: $LDAP_BIND_DN
        bind_password: \${DEMO_BIND_PASSWORD}
        base_dn: $LDAP_SUFFIX
        tls: {ca_file: $LDAP_CA, start_tls: true}
        groups: {base_dn: "ou=groups,$LDAP_SUFFIX"}
    mapping:
      department: {expr: 'first(departmentNumber)'}
YAML
export DEMO_BIND_PASSWORD=$LDAP_PASSWORD

say() { printf '\n%s# %s%s\n' "$bold" "$*" "$plain"; }

# show STATUS COMMAND...: runs it as one would type it, and stops the
# demonstration when it ends otherwise than announced.
show() {
	local want=$1 status=0
	shift
	printf '\n%s$ %s%s\n' "$bold" "$*" "$plain"
	"$@" || status=$?
	if [ "$status" -ne 0 ]; then echo "(exit status $status)"; fi
	if [ "$status" -ne "$want" ]; then
		echo "demo: this should have ended with exit status $want" >&2
		exit 1
	fi
}
rollcall() { "$rollcall" "$@"; }

say "An OpenLDAP server with $LDAP_PEOPLE people, $LDAP_GROUPS groups and $LDAP_MEMBERSHIPS memberships is running at $LDAP_URL."
say "Six people are broken on purpose: no mail, a wrong number, an unknown language, another's mail, managers who are not there."
show 0 cat rollcall.yaml
say "Is everything in order with the connection?"
show 0 rollcall check demo
say "What would happen? Nothing is written; exit status 2 says that changes are waiting."
show 2 rollcall plan demo
say "Do it."
show 0 rollcall sync demo
show 0 rollcall accounts list --limit 10
say "A second plan has nothing to do."
show 0 rollcall plan demo
say "Twenty things change in the directory: new titles, a leaver, a joiner, a new name."
"$rig" changes "${directory[@]}" -n 20 >changes.ldif 2>changes.txt
printf '%s' "$LDAP_ADMIN_PASSWORD" >admin.pw
ldapmodify -x -H "$LDAP_URL" -D "$LDAP_ADMIN_DN" -y admin.pw -f changes.ldif >/dev/null
cat changes.txt
show 2 rollcall plan demo
show 0 rollcall sync demo
show 0 rollcall plan demo
show 0 rollcall runs list
say "That was it. docs/how-it-works.md tells what happened; README.md shows how to point rollcall at your directory."
