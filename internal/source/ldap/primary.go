package ldap

import (
	"fmt"
	"strings"
)

// In Active Directory a person's primary group, nearly always Domain Users, has
// them among neither its members nor their memberOf. The person carries its
// relative ID (primaryGroupID, MS-ADA3 2.120), which with the domain's part of
// their own SID is the group's. One search finds each such group once.

// primary is the SID of the last record's primary group, "" if it has none.
func (d *decoder) primary() string {
	if len(d.sid) != 1 || len(d.rid) != 1 {
		return ""
	}
	return groupSID(d.sid[0], d.rid[0])
}

// primaryGroup gives the DN of the group with a SID, "" where the account sees none.
func (r *reading) primaryGroup(sid string) (string, error) {
	if dn, ok := r.primaries[sid]; ok {
		return dn, nil
	}
	base := r.dse.first("defaultNamingContext")
	if r.c.srv.catalog() {
		base = "" // all domains of the forest
	}
	q := query{base: base, scope: scopeSub, filter: compare(filterEqual, "objectSid", sid), attributes: []string{"1.1"}, elsewhere: true}
	dn := ""
	e, err := r.pages("groups", q, func(op cursor) error {
		name, _, err := entryParts(op)
		dn = strings.Clone(name)
		return err
	}, func() error { return nil })
	if err != nil {
		return "", err
	}
	if !e.whole() {
		r.incomplete(fmt.Sprintf("the primary group %s was not found out: %s", sidText(sid), limitReason("groups", e.entries, e.result)))
	}
	r.primaries[strings.Clone(sid)] = dn
	return dn, nil
}
