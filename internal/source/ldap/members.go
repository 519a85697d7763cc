package ldap

import (
	"strings"

	"rollcall.dev/rollcall/internal/directory"
)

// A posixGroup (RFC 2307) names its members by uid, not by DN. Where such an
// attribute is set for groups, the uids of the people read before are kept, and
// members are handed on as the DNs that refs are made of. A uid nobody has, or
// two people have, stays as it is and refers to nobody.

const (
	memberUID = "memberUid"
	uid       = "uid"
)

// logins finds people by uid; nil where it is not needed.
type logins map[string]login

// login is whose a uid is; with the DN "" it is that of others too.
type login struct{ who, dn string }

func loginsFor(g *groupSettings) logins {
	if g == nil || !strings.EqualFold(g.member, memberUID) {
		return nil
	}
	return logins{}
}

// add takes down whose uids these are. A reading of changes meets the same person more
// than once: when it names all, and when it reads who changed.
func (l logins) add(uids []string, rec *directory.Record) {
	if l == nil || len(uids) == 0 {
		return
	}
	is := login{who: strings.Clone(string(rec.ID)), dn: strings.Clone(rec.Ref)}
	if is.who == "" {
		is.who = Refer(is.dn)
	}
	for _, u := range uids {
		key := strings.Clone(strings.ToLower(u))
		if before, met := l[key]; met && (before.who != is.who || before.dn == "") {
			l[key] = login{who: before.who}
			continue
		}
		l[key] = is
	}
}

// resolve puts DNs in the place of uids.
func (l logins) resolve(rec *directory.Record) {
	if l == nil {
		return
	}
	for i, m := range rec.Members {
		if dn := l[strings.ToLower(m)].dn; dn != "" {
			rec.Members[i] = dn
		}
	}
}
