package ldap

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
)

// Several servers hold one directory, and some are told of its changes late: behind one
// name, or in a list of addresses, one may answer that does not know yet who was read
// from another. Whoever is not there has not left, and what it has of the others is
// older than what is known. How far a server has come is in marks: where changes were
// made, and the number of the last of them that it has. They are
//
//	20261124001500.123456Z#000000#001#000000   contextCSN of OpenLDAP, as it is
//	CONTEXT/INVOCATION 0000000000000fa5        a cursor of a domain controller
//	!CONTEXT/INVOCATION 0000000000000fa5       that of the controller itself
//	GENERATION/REPLICA 6b050ad6000000010000    nsds50ruv of 389 Directory Server
//
// with the objectGUID of a naming context and the invocation ID of a controller's
// database, and compare as text.

const contextCSN = "contextCSN"

// lagging is a server that is behind the last reading. Another one may be further.
type lagging struct{ error }

func (l *lagging) Unwrap() error { return l.error }

// compareState asks how far the server is. From one that is behind the last reading
// nothing is read.
func (r *reading) compareState(from source.Cursor) error {
	var err error
	if r.state, err = r.takeState(r.dse); err != nil || from == nil {
		return err
	}
	b, no := decodeBookmark(from)
	if no != nil {
		return nil // everything is read, for that reason
	}
	was, is, found := behind(b.State, r.state)
	switch {
	case found:
		return &lagging{fault.New(fault.Unavailable, "ldap: %s has the directory as of %s, and the last reading was of %s", r.c.srv, is, was).
			WithHint("It is told of changes late, or was restored. Nothing is read from it until it has caught up; after a restore, or when the server that was read before is gone for good, run rollcall sync --full.")}
	case r.preset.vendor == vendorAD && len(b.State) > 0 && !related(b.State, r.state):
		r.note("This domain controller does not show how far it has replicated those that were read before (replUpToDateVector): whether it knows all that they knew cannot be told.")
	}
	return nil
}

// endState gives how far the server is after the last answer, so that all that was read
// is covered: what changed while it was read may have been read as well. Where a reading
// brought nothing, what was known before covers it, and nobody has to catch up with
// changes of something else.
func (r *reading) endState(before []string) ([]string, error) {
	if !r.brought && related(before, r.state) {
		return before, nil
	}
	d := r.dse
	if r.preset.vendor == vendorAD {
		var err error
		if d, err = r.c.readRoot(); err != nil {
			return nil, r.set.explain("read the root DSE", err)
		}
	}
	state, err := r.takeState(d)
	if len(state) == 0 {
		state = r.state
	}
	return state, err
}

// takeState gives the marks of a server whose root DSE is d; none where it shows none.
func (r *reading) takeState(d *rootDSE) ([]string, error) {
	switch {
	case r.preset.vendor == vendorOpenLDAP:
		context := r.contextOf(r.base)
		if context == "" {
			return nil, nil
		}
		_, csns, err := r.stateIn(query{base: context, scope: scopeBase, filter: everything}, "", contextCSN)
		return csns, err
	case r.preset.vendor == vendor389:
		return r.replicaState()
	case r.preset.vendor == vendorAD && !r.c.srv.catalog():
		return r.controllerState(d)
	}
	return nil, nil
}

// stateIn reads one attribute of the entry that a search finds, and its external ID.
func (r *reading) stateIn(q query, anchor, attribute string) (id string, values []string, err error) {
	names := newDecoder(directory.User, anchor, []string{attribute}, "", nil)
	q.attributes, q.elsewhere = names.request(), true
	_, err = r.pages("settings", q, func(op cursor) error {
		rec, _, err := names.record(op)
		if err == nil {
			id = strings.Clone(string(rec.ID))
			for _, v := range rec.Get(attribute) {
				values = append(values, strings.Clone(v))
			}
		}
		return err
	}, func() error { return nil })
	return id, values, err
}

// oidReadOnly is shown by a domain controller that nobody replicates from (MS-ADTS
// 3.1.1.3.4.3, LDAP_CAP_ACTIVE_DIRECTORY_PARTIAL_SECRETS_OID).
const oidReadOnly = "1.2.840.113556.1.4.1920"

// controllerState gives the marks of a domain controller, of each naming context that is
// read: its up-to-dateness vector, which says of every other one's changes how many it
// has, and its own changes (MS-DRSR 5.166, MS-ADTS 3.1.1.1.9).
func (r *reading) controllerState(d *rootDSE) ([]string, error) {
	c, err := r.controllerOf(d)
	var no *unusable
	if errors.As(err, &no) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	contexts := []string{r.contextOf(r.base)}
	if g := r.set.groups; g != nil && g.hasBase {
		contexts = append(contexts, r.contextOf(g.base))
	}
	var out []string
	for _, context := range distinct(contexts) {
		if context == "" {
			continue
		}
		id, values, err := r.stateIn(query{base: context, scope: scopeBase, filter: everything}, objectGUID, "replUpToDateVector")
		if err != nil {
			return nil, err
		}
		if id == "" {
			continue
		}
		own := c.database()
		if own != "" && !d.has("supportedCapabilities", oidReadOnly) {
			out = append(out, fmt.Sprintf("!%s/%s %016x", id, own, c.usn))
		}
		for _, v := range values {
			for _, x := range decodeVector(v) {
				if x.invocation != own { // its own changes it has all
					out = append(out, fmt.Sprintf("%s/%s %016x", id, x.invocation, x.usn))
				}
			}
		}
	}
	return out, nil
}

// mark is how far a server is with the changes made on one server.
type mark struct {
	context string // what the changes are of, and with it whom they can be compared with
	origin  string // where they were made
	number  string // of the last
	own     bool   // they were made on the server that was asked
}

func parseMark(text string) (mark, bool) {
	origin, number, ok := strings.Cut(text, " ")
	if !ok {
		parts := strings.Split(text, "#")
		if len(parts) != 4 || parseStamp(strings.TrimSpace(parts[0])) == "" {
			return mark{}, false
		}
		return mark{origin: parts[2], number: text}, true
	}
	origin, own := strings.CutPrefix(origin, "!")
	context, origin, ok := strings.Cut(origin, "/")
	return mark{context, origin, number, own}, ok && context != ""
}

// beside tells whether two marks are of one naming context.
func (m mark) beside(other mark) bool { return m.context == other.context }

// of tells whether two marks are about the same changes.
func (m mark) of(other mark) bool { return m.context == other.context && m.origin == other.origin }

func (m mark) String() string {
	if m.context == "" {
		t, err := time.Parse(stampLayout, m.number[:len(stampLayout)])
		if err != nil {
			return m.number
		}
		return t.Format("2006-01-02 15:04:05 UTC")
	}
	if len(m.number) == csnDigits {
		seconds, err := strconv.ParseInt(m.number[:8], 16, 64)
		if err != nil {
			return m.number
		}
		return time.Unix(seconds, 0).UTC().Format("2006-01-02 15:04:05 UTC")
	}
	number, err := strconv.ParseUint(m.number, 16, 64)
	if err != nil {
		return m.number
	}
	return fmt.Sprintf("change %d of the domain controller with the invocation ID %s", number, m.origin)
}

func parseMarks(texts []string) []mark {
	var out []mark
	for _, text := range texts {
		if m, ok := parseMark(text); ok {
			out = append(out, m)
		}
	}
	return out
}

// behind tells whether a state lacks changes that another had, and says how far both
// are. Numbers of a server that only one of them knows cannot be compared: it may have
// been retired before the other came. But whoever has heard nothing of the server that
// was read has nothing of it yet, unless this account is shown no vectors at all.
func behind(then, now []string) (was, is string, ok bool) {
	known, marks := parseMarks(then), parseMarks(now)
	for _, a := range known {
		vector := func(b mark) bool { return b.context == a.context && !b.own }
		i := slices.IndexFunc(marks, a.of)
		switch {
		case i >= 0 && marks[i].number < a.number:
			return a.String(), marks[i].String(), true
		case i < 0 && a.own && slices.ContainsFunc(marks, a.beside) && (slices.ContainsFunc(known, vector) || slices.ContainsFunc(marks, vector)):
			return a.String(), "before the first of them", true
		}
	}
	return "", "", false
}

// related tells whether two states have anything that can be compared.
func related(then, now []string) bool {
	marks := parseMarks(now)
	return slices.ContainsFunc(parseMarks(then), func(a mark) bool { return slices.ContainsFunc(marks, a.of) })
}
