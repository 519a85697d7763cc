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

// logins finds a person's DN by uid; nil where it is not needed.
type logins map[string]string

func loginsFor(g *groupSettings) logins {
	if g == nil || !strings.EqualFold(g.member, memberUID) {
		return nil
	}
	return logins{}
}

func (l logins) add(uids []string, dn string) {
	if l == nil {
		return
	}
	for _, u := range uids {
		key := strings.Clone(strings.ToLower(u))
		if _, twice := l[key]; twice {
			dn = ""
		}
		l[key] = strings.Clone(dn)
	}
}

// resolve puts DNs in the place of uids.
func (l logins) resolve(rec *directory.Record) {
	if l == nil {
		return
	}
	for i, m := range rec.Members {
		if dn := l[strings.ToLower(m)]; dn != "" {
			rec.Members[i] = dn
		}
	}
}
