package ldap

import (
	"fmt"

	"rollcall.dev/rollcall/internal/directory"
)

// What `sync.anchor` names may stand on two entries, where a number was mistyped or
// copied. Whose the account is cannot be told then, and whoever the server names first
// would be given it. So none of them is known by it.

// fixed is true where the server itself sees to it that no two entries share an anchor.
func (r *reading) fixed() bool { return containsFold(ownAnchors, r.anchor) }

// meetAll takes down the external IDs of everybody before they are handed on, and which
// of them come twice.
func (r *reading) meetAll(halves []*half) error {
	if r.fixed() {
		return nil
	}
	r.shared = map[directory.Digest]bool{}
	for _, h := range halves {
		names := newDecoder(h.kind, r.anchor, nil, "", nil)
		q := h.query
		q.attributes, q.elsewhere = names.request(), true
		e, err := r.pages(h.what, q, func(op cursor) error {
			rec, _, err := names.record(op)
			if err == nil && rec.ID != "" {
				key := directory.KeyOf(rec.Kind, rec.ID)
				_, twice := r.shared[key]
				r.shared[key] = twice
			}
			return err
		}, func() error { return nil })
		if err != nil {
			return err
		}
		if _, err := r.judge(h.what, q, e); err != nil {
			return err
		}
	}
	return nil
}

// alone looks whether somebody who is read by themselves shares their external ID.
func (r *reading) alone(h *half, rec *directory.Record) error {
	if rec == nil || rec.ID == "" || r.fixed() {
		return nil
	}
	q := h.query
	q.filter, q.attributes = combine(filterAnd, q.filter, compare(filterEqual, r.anchor, anchorValue(r.anchor, string(rec.ID)))), []string{"1.1"}
	dns, err := r.few(q, func(cursor) error { return nil })
	if err == nil && len(dns) > 1 {
		r.disown(rec)
	}
	return err
}

func (r *reading) disown(rec *directory.Record) {
	rec.ID, rec.Problem = "", fmt.Sprintf("The entry has the same %s as another one, and can be known by its own only.", r.anchor)
}
