package ldap

import (
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
)

// Several OpenLDAP servers hold one directory, and some are told of its changes late:
// behind one name, or in a list of addresses, one may answer that does not know yet
// who was read from another. Whoever is not there has not left, and what it has of the
// others is older than what is known. How far a server has come is in its contextCSN:
// the number of the last change made on each of the servers that take changes.

const contextCSN = "contextCSN"

// compareState asks how far the server is. From one that is behind the last reading
// nothing is read.
func (r *reading) compareState(from source.Cursor) error {
	context := r.contextOf(r.base)
	if r.preset.vendor != vendorOpenLDAP || context == "" {
		return nil
	}
	names := newDecoder(directory.User, r.anchor, []string{contextCSN}, "", nil)
	q := query{base: context, scope: scopeBase, filter: everything, attributes: names.request(), elsewhere: true}
	_, err := r.pages("settings", q, func(op cursor) error {
		rec, _, err := names.record(op)
		if err == nil {
			for _, csn := range rec.Get(contextCSN) {
				r.state = append(r.state, strings.Clone(csn))
			}
		}
		return err
	}, func() error { return nil })
	if err != nil || from == nil {
		return err
	}
	b, no := decodeBookmark(from)
	if no != nil {
		return nil // everything is read, for that reason
	}
	if was, is, ok := behind(b.State, r.state); ok {
		return fault.New(fault.Unavailable, "ldap: %s has the directory as of %s, and the last reading was of %s", r.c.srv, is, was).
			WithHint("It is told of changes late, or was restored. Nothing is read from it until it has caught up; after a restore run rollcall sync --full.")
	}
	return nil
}

// behind tells whether a state lacks changes that another had, and gives the times of
// both. Numbers of a server that only one of them knows cannot be compared.
func behind(then, now []string) (was, is string, ok bool) {
	for _, a := range then {
		for _, b := range now {
			if origin(a) != "" && origin(a) == origin(b) && b < a {
				return csnTime(a), csnTime(b), true
			}
		}
	}
	return "", "", false
}

// origin is the number of the server a change was made on: the third part of
// 20261124001500.123456Z#000000#001#000000, which compares as text.
func origin(csn string) string {
	parts := strings.Split(csn, "#")
	if len(parts) != 4 || parseStamp(strings.TrimSpace(parts[0])) == "" {
		return ""
	}
	return parts[2]
}

func csnTime(csn string) string {
	t, err := time.Parse(stampLayout, csn[:len(stampLayout)])
	if err != nil {
		return csn
	}
	return t.Format("2006-01-02 15:04:05 UTC")
}
