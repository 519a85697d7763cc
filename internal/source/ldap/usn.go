package ldap

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"rollcall.dev/rollcall/internal/directory"
)

// usn finds changes by Active Directory's update sequence numbers (uSNChanged,
// MS-ADTS 3.1.1.1.9). Each domain controller counts for itself, so the mark
// belongs to one of them, and to its database: a restored one has another
// invocation ID.
type usn struct{}

func (usn) name() string { return methodUSN }

// controller is a domain controller at one time.
type controller struct {
	service    string // the DN of its settings: another one for each controller
	invocation string // stands for its database; "" where the account may not read it
	usn        uint64 // of its last change, as it was when the connection was opened
}

// database is the invocation ID as text, "" where it is not known.
func (c controller) database() string {
	id := c.invocation
	if raw, err := hex.DecodeString(id); err == nil && len(raw) == 16 {
		id = string(raw)
	}
	if len(id) != 16 {
		return ""
	}
	return guid(id)
}

// controller asks who answers.
func (r *reading) controller() (controller, error) { return r.controllerOf(r.dse) }

func (r *reading) controllerOf(d *rootDSE) (controller, error) {
	c := controller{service: Refer(d.first("dsServiceName"))}
	var err error
	if c.usn, err = strconv.ParseUint(d.first("highestCommittedUSN"), 10, 64); err != nil {
		return c, cannot("the server has no update sequence numbers")
	}
	if c.service == "" {
		return c, nil
	}
	names := newDecoder(directory.Group, "invocationId", nil, "", nil)
	q := query{base: d.first("dsServiceName"), scope: scopeBase, filter: everything, attributes: names.request(), elsewhere: true}
	_, err = r.pages("settings", q, func(op cursor) error {
		rec, _, err := names.record(op)
		if err == nil {
			c.invocation = strings.Clone(string(rec.ID))
		}
		return err
	}, func() error { return nil })
	return c, err
}

// remember takes down who answered.
func (b *bookmark) remember(c controller) {
	b.Controller, b.Server, b.USN = c.service, c.invocation, c.usn
}

// restored is true of the controller that answered the last time when it has
// another database now, or an earlier state of it.
func (b *bookmark) restored(c controller) bool {
	return b.Controller == c.service && (b.Server != c.invocation || b.USN > c.usn)
}

var errRestored = &unusable{"the domain controller is not at the state it was at: it was restored"}

func (usn) begin(r *reading, b *bookmark, halves []*half) error {
	c, err := r.controller()
	if err != nil {
		return err
	}
	if c.invocation == "" {
		return cannot("the account may not read the domain controller's invocationId")
	}
	b.remember(c)
	_, err = r.contextsOf(halves)
	return err
}

func (usn) finish(*reading, *bookmark) error { return nil }

func (usn) find(r *reading, b *bookmark, halves []*half) ([]*found, error) {
	c, err := r.controller()
	switch {
	case err != nil:
		return nil, err
	case b.restored(c):
		return nil, errRestored
	case b.Server != c.invocation:
		return nil, cannot("another domain controller answers than at the last reading")
	}
	contexts, err := r.contextsOf(halves)
	if err != nil {
		return nil, err
	}
	out := make([]*found, len(halves))
	for i := range out {
		out[i] = &found{}
	}
	for _, base := range distinct(contexts) {
		if b.USN == c.usn {
			break
		}
		names := newDecoder(directory.User, r.anchor, []string{"objectClass"}, "", nil)
		q := query{base: base, scope: scopeSub, filter: compare(filterAtLeast, "uSNChanged", strconv.FormatUint(b.USN+1, 10)), attributes: names.request()}
		if r.dse.has("supportedControl", oidShowDeleted) {
			q.controls = []control{{oid: oidShowDeleted, critical: true}}
		}
		err := r.collect(q, func(op cursor) error {
			rec, _, err := names.record(op)
			for i, h := range halves {
				if err == nil && contexts[i] == base {
					err = r.take(out[i], rec, h)
				}
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	b.remember(c)
	return out, nil
}

func (usn) blind(r *reading, halves []*half) ([]string, bool, error) {
	return r.deletionsUnseen(halves)
}

// deletionsUnseen says whether the account sees what was deleted. That it sees
// something is the only proof: one without the right sees nothing and no error.
func (r *reading) deletionsUnseen(halves []*half) ([]string, bool, error) {
	contexts, err := r.contextsOf(halves)
	if err != nil {
		return nil, false, err
	}
	for _, base := range distinct(contexts) {
		sees, err := r.seesDeleted(base)
		if err != nil {
			return nil, false, err
		}
		if !sees {
			return []string{fmt.Sprintf("deleted people and groups: the account sees no deleted object of %s (a domain administrator can let it, see dsacls \"CN=Deleted Objects,%[1]s\" /G ACCOUNT:LCRP)", base)}, true, nil
		}
	}
	return nil, false, nil
}

// deletedMark is in the name of every entry that was deleted (MS-ADTS 3.1.1.5.5).
const deletedMark = `\0ADEL:`

// seesDeleted looks for an entry that was deleted. The container they are in has
// the attribute too, and everybody may see it.
func (r *reading) seesDeleted(base string) (bool, error) {
	if !r.dse.has("supportedControl", oidShowDeleted) {
		return false, nil
	}
	q := query{base: base, scope: scopeSub, filter: compare(filterEqual, "isDeleted", "TRUE"), attributes: []string{"1.1"}, sizeLimit: 5,
		controls: []control{{oid: oidShowDeleted, critical: true}}}
	sees := false
	// Whatever the server answers: it is seen or not.
	_, err := r.c.ask(&q, func(op cursor) error {
		dn, _, err := entryParts(op)
		sees = sees || strings.Contains(dn, deletedMark)
		return err
	}, func([]string) {})
	if err != nil {
		return false, r.failed("deleted objects", q, err, 0)
	}
	return sees, nil
}

// contextsOf gives the naming context each half lies in.
func (r *reading) contextsOf(halves []*half) ([]string, error) {
	var out []string
	for _, h := range halves {
		context := r.contextOf(h.query.base)
		if context == "" {
			return nil, cannot("the base %s lies in none of the server's naming contexts", quoted(h.query.base))
		}
		out = append(out, context)
	}
	return out, nil
}

// contextOf gives the naming context a DN lies in, "" if that is none.
func (r *reading) contextOf(dn string) string {
	best := ""
	for _, c := range r.dse.contexts() {
		if under(Refer(dn), Refer(c)) && len(c) > len(best) {
			best = c
		}
	}
	return best
}

func distinct(list []string) []string {
	out := slices.Clone(list)
	slices.Sort(out)
	return slices.Compact(out)
}
