package ldap

import (
	"errors"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/directory"
)

// dirSync finds changes by Active Directory's DirSync control (MS-ADTS
// 3.1.1.3.4.1.3): the domain controller tells of a whole naming context which
// entries changed in any of the attributes asked for. What it says of them is
// passed over but for who they are; base and filter are put to the entries
// themselves. Any domain controller of the domain can go on with the cookie; but
// one that lost changes since does not say so.
type dirSync struct{}

func (dirSync) name() string { return methodDirSync }

// rounds asks again and again until there is no more, and gives the last cookie.
func (dirSync) rounds(r *reading, q query, cookie []byte, entry func(op cursor) error) ([]byte, error) {
	for {
		q.controls = []control{dirSyncControl(cookie)}
		entries := 0
		res, err := r.c.search(&q, answers{entry: func(m message) error { entries++; return entry(m.op) }})
		var no *unusable
		switch {
		case errors.As(err, &no):
			return nil, err
		case err != nil:
			return nil, r.failed("changes", q, err, entries)
		case res.code != 0:
			return nil, cannot("the server does not tell what changed (%s)", res.err())
		}
		value, ok, err := findControl(res.controls, oidDirSync)
		if err != nil {
			return nil, r.failed("changes", q, err, entries)
		}
		if !ok {
			return nil, cannot("the server did not answer the DirSync control")
		}
		more, next, err := decodeDirSync(value)
		switch {
		case err != nil:
			return nil, r.failed("changes", q, err, entries)
		case len(next) == 0:
			return nil, cannot("the server gives no cookie from which to go on")
		case !more:
			return next, nil
		case entries == 0 && string(next) == string(cookie):
			return nil, cannot("the server says that there is more, and gives nothing")
		}
		cookie = next
	}
}

// begin takes a cookie of now: that of a search that finds nothing.
func (d dirSync) begin(r *reading, b *bookmark, halves []*half) error {
	if !r.dse.has("supportedControl", oidDirSync) {
		return cannot("the server does not offer the DirSync control")
	}
	contexts, err := r.contextsOf(halves)
	if err != nil {
		return err
	}
	c, err := r.controller()
	if err != nil {
		return err
	}
	b.remember(c)
	for _, base := range distinct(contexts) {
		q := query{base: base, scope: scopeSub, filter: compare(filterEqual, objectGUID, strings.Repeat("\x00", 16)), attributes: []string{objectGUID}}
		cookie, err := d.rounds(r, q, nil, func(cursor) error { return nil })
		if err != nil {
			return err
		}
		b.keep(Refer(base), cookie)
	}
	return nil
}

func (dirSync) finish(*reading, *bookmark) error { return nil }

func (d dirSync) find(r *reading, b *bookmark, halves []*half) ([]*found, error) {
	c, err := r.controller()
	if err != nil {
		return nil, err
	}
	if b.restored(c) {
		return nil, errRestored
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
		cookie := b.cookie(Refer(base))
		if len(cookie) == 0 {
			return nil, cannot("the bookmark of the last reading has no cookie for %s", base)
		}
		changed, moved, next, err := d.changed(r, base, cookie, halves)
		if err != nil {
			return nil, err
		}
		containers, err := d.containers(r, base, moved)
		if err != nil {
			return nil, err
		}
		for i, h := range halves {
			if contexts[i] != base {
				continue
			}
			out[i].keys = changed
			for _, dn := range containers {
				r.takePlace(out[i], dn, h)
			}
		}
		b.keep(Refer(base), next)
	}
	b.remember(c)
	return out, nil
}

// changed gives who changed, and whose name or place did.
func (d dirSync) changed(r *reading, base string, cookie []byte, halves []*half) (changed, moved []string, next []byte, err error) {
	names := newDecoder(directory.User, objectGUID, []string{"name", "parentGUID", "isDeleted"}, "", nil)
	q := query{base: base, scope: scopeSub, filter: everything, attributes: d.attributes(halves)}
	next, err = d.rounds(r, q, cookie, func(op cursor) error {
		rec, _, err := names.record(op)
		if err != nil || rec.ID == "" {
			return err
		}
		if len(changed) >= mostChanges {
			return errTooMany
		}
		key := anchorValue(objectGUID, string(rec.ID))
		changed = append(changed, key)
		if rec.First("isDeleted") == "" && (rec.Get("name") != nil || rec.Get("parentGUID") != nil) {
			moved = append(moved, key)
		}
		return nil
	})
	return changed, moved, next, err
}

// attributes are all whose changes matter: those handed on, those the filters
// look at, and what tells of deletions and moves.
func (dirSync) attributes(halves []*half) []string {
	out := []string{objectGUID, "isDeleted", "name", "parentGUID", "objectClass"}
	for _, h := range halves {
		for _, a := range slices.Concat(h.decoder.request(), filterAttributes(h.query.filter)) {
			a, _, _ = strings.Cut(a, ";")
			if !containsFold(out, a) {
				out = append(out, a)
			}
		}
	}
	return out
}

// containers are the DNs of those among entries that other entries lie below.
func (dirSync) containers(r *reading, base string, keys []string) ([]string, error) {
	var out []string
	for some := range slices.Chunk(keys, batch) {
		q := query{base: base, scope: scopeSub, filter: combine(filterAnd, placesFilter, anyOf(objectGUID, some)), attributes: []string{"1.1"}}
		err := r.collect(q, func(op cursor) error {
			dn, _, err := entryParts(op)
			out = append(out, strings.Clone(dn))
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (dirSync) blind(r *reading, halves []*half) ([]string, bool, error) {
	return r.deletionsUnseen(halves)
}
