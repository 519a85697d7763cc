package ldap

import (
	"maps"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/directory"
)

// A reading of changes has two steps. First the entries that may have changed
// are found, and nothing is handed on: up to here everything can still be read
// in place of the changes. Then their records are read, with base and filter in
// force, and what does not come back is reported gone.

// found is what is known of one half after the first step.
type found struct {
	keys    []string               // anchors, as the server gives them, of entries to be read
	odd     []string               // DNs of entries to be read that have no usable anchor
	places  []string               // DNs of containers, below which everything is to be read
	records []directory.Record     // of entries that came whole
	omitted []directory.Record     // of groups that include leaves out, without their members
	gone    []directory.ExternalID //
	present []syncUUID             // of entries that are there and did not change
	named   bool                   // every entry there is is among records and present
	// doubtful is true where the server meant that, and named nothing.
	doubtful bool
}

// ids are those of all entries that are named, and not to be fetched first.
func (f *found) ids(anchor string) []directory.ExternalID {
	ids := slices.Clone(f.gone)
	for _, uuid := range f.present {
		ids = append(ids, uuid.externalID(anchor))
	}
	for i := range f.records {
		if id := f.records[i].ID; id != "" {
			ids = append(ids, id)
		}
	}
	for i := range f.omitted {
		if id := f.omitted[i].ID; id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// mostChanges bounds what is kept between the two steps. Beyond it to read
// everything is no more work.
const mostChanges = 50_000

var errTooMany = &unusable{"so much has changed that to read everything is as quick"}

// batch is how many entries are asked for at a time.
const batch = 100

// apply is the second step for one half.
func (r *reading) apply(h *half, f *found, sweep bool) error {
	if sweep && !f.named {
		if err := r.sweep(h); err != nil {
			return err
		}
	}
	if err := r.announce(h.kind, f.ids(r.anchor)); err != nil {
		return err
	}
	var unknown []string
	for _, uuid := range f.present {
		id := uuid.externalID(r.anchor)
		known, err := r.isKnown(h.kind, id)
		if err != nil {
			return err
		}
		if !known {
			unknown = append(unknown, anchorValue(r.anchor, string(id)))
		} else if err := r.present(h.kind, id); err != nil {
			return err
		}
	}
	for _, id := range f.gone {
		if err := r.gone(h.kind, id); err != nil {
			return err
		}
	}
	for i := range f.omitted {
		rec := &f.omitted[i]
		spared, err := r.spare(rec)
		if err != nil {
			return err
		}
		if spared {
			f.keys = append(f.keys, anchorValue(r.anchor, string(rec.ID)))
		}
	}
	for i := range f.records {
		if err := r.deliver(&f.records[i]); err != nil {
			return err
		}
	}
	for _, keys := range [][]string{unknown, f.keys} {
		if err := r.fetch(h, keys); err != nil {
			return err
		}
	}
	for _, dn := range f.odd {
		if err := r.fetchDN(h, dn); err != nil {
			return err
		}
	}
	for _, dn := range f.places {
		if err := r.below(h, dn); err != nil {
			return err
		}
	}
	return nil
}

// fetch reads the whole records of entries. Which do not come back are not, or
// no longer, among what is read.
func (r *reading) fetch(h *half, keys []string) error {
	for some := range slices.Chunk(keys, batch) {
		q := h.query
		q.filter = combine(filterAnd, h.query.filter, anyOf(r.anchor, some))
		missing := map[directory.ExternalID]bool{}
		for _, k := range some {
			missing[externalID(r.anchor, k)] = true
		}
		q.attributes = h.decoder.request()
		if err := r.announce(h.kind, slices.Collect(maps.Keys(missing))); err != nil {
			return err
		}
		e, err := r.pages(h.what, q, func(op cursor) error {
			if err := r.entry(h, op); err != nil {
				return err
			}
			delete(missing, h.decoder.rec.ID)
			return nil
		}, r.completeHeld)
		if err != nil {
			return err
		}
		whole, err := r.judge(h.what, q, e)
		if err != nil {
			return err
		}
		for id := range missing {
			if !whole {
				break
			}
			if err := r.gone(h.kind, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// fetchDN reads the whole record of one entry by its place. When it is not
// there any more, what it is known by elsewhere says so.
func (r *reading) fetchDN(h *half, dn string) error {
	if !h.holds(Refer(dn)) {
		return nil
	}
	q := h.query
	q.base, q.scope = dn, scopeBase
	q.attributes = h.decoder.request()
	e, err := r.pages(h.what, q, func(op cursor) error { return r.entry(h, op) }, r.completeHeld)
	if err == nil && cutShort(e.code) {
		_, err = r.judge(h.what, q, e)
	}
	return err
}

// holds is true of a normalised DN that lies where the half is read.
func (h *half) holds(dn string) bool {
	base := Refer(h.query.base)
	switch h.query.scope {
	case scopeBase:
		return dn == base
	case scopeOne:
		return dn != base && parent(dn) == base
	}
	return under(dn, base)
}

// below reads what lies below a container again: when it is renamed or moved,
// what lies in it has other DNs, and no server marks that as a change of theirs.
func (r *reading) below(h *half, place string) error {
	dn := Refer(place)
	q := h.query
	q.base = place
	if h.query.scope == scopeSub && under(dn, Refer(h.query.base)) {
		q.attributes = h.decoder.request()
		e, err := r.pages(h.what, q, func(op cursor) error { return r.entry(h, op) }, r.completeHeld)
		if err != nil || e.code == codeNoSuchObject {
			return err
		}
		_, err = r.judge(h.what, q, e)
		return err
	}
	if h.holds(dn) {
		return nil // one level is read, and what lies deeper is not
	}
	// It may have been moved away with what is in it.
	q.scope = scopeSub
	names := newDecoder(h.kind, r.anchor, nil, "", nil)
	q.attributes = names.request()
	e, err := r.pages(h.what, q, func(op cursor) error {
		rec, _, err := names.record(op)
		if err != nil || rec.ID == "" || h.holds(Refer(rec.Ref)) {
			return err
		}
		return r.gone(h.kind, rec.ID)
	}, func() error { return nil })
	if err != nil || e.code == codeNoSuchObject {
		return err
	}
	_, err = r.judge(h.what, q, e)
	return err
}

// sweep names every entry there is, without its contents. Those that are not
// known are read.
func (r *reading) sweep(h *half) error {
	names := r.names(h)
	if h.kind == directory.User && r.logins != nil {
		names.ask(uid, roleLogin)
	}
	q := h.query
	q.attributes = names.request()
	var keys, odd []string
	e, err := r.pages(h.what, q, func(op cursor) error {
		rec, _, err := names.record(op)
		if err != nil {
			return err
		}
		if names.excluded {
			r.omit(rec)
			if known, err := r.isKnown(rec.Kind, rec.ID); err != nil || !known {
				return err
			}
			// It is read again, and not said to be there: it may have been selected.
			keys = append(keys, anchorValue(r.anchor, string(rec.ID)))
			return nil
		}
		if rec.Kind == directory.User {
			r.logins.add(names.logins, rec)
		}
		if rec.ID == "" {
			odd = append(odd, strings.Clone(rec.Ref))
			return nil
		}
		known, err := r.isKnown(rec.Kind, rec.ID)
		if err != nil {
			return err
		}
		if !known {
			keys = append(keys, anchorValue(r.anchor, string(rec.ID)))
			return nil
		}
		return r.present(rec.Kind, rec.ID)
	}, func() error { return nil })
	if err != nil {
		return err
	}
	whole, err := r.judge(h.what, q, e)
	r.inner.all = r.inner.all || whole && names.include != nil
	if err != nil {
		return err
	}
	// Not between the pages: OpenLDAP keeps one search in pages for each connection, and
	// refuses the next page of one after another search was read to its end.
	if err := r.fetch(h, keys); err != nil {
		return err
	}
	for _, dn := range odd {
		if err := r.fetchDN(h, dn); err != nil {
			return err
		}
	}
	return nil
}

// announce says which entries isKnown is about to be asked for, or that are about to be
// handed on.
func (r *reading) announce(kind directory.Kind, ids []directory.ExternalID) error {
	if r.soon == nil || len(ids) < 2 {
		return nil
	}
	err := r.soon(kind, ids)
	if err != nil {
		r.refused = err
	}
	return err
}

// isKnown asks whether the entry was handed on before.
func (r *reading) isKnown(kind directory.Kind, id directory.ExternalID) (bool, error) {
	if r.known == nil {
		return false, nil
	}
	known, err := r.known(kind, id)
	if err != nil {
		r.refused = err
	}
	return known, err
}

// present reports that an entry is still there.
func (r *reading) present(kind directory.Kind, id directory.ExternalID) error {
	if err := r.hand(&directory.Record{Kind: kind, ID: id, Present: true}); err != nil {
		return err
	}
	r.named[kind-directory.User]++
	r.report()
	return nil
}

// gone reports that an entry is not, or no longer, among what is read. In a full
// reading that goes without saying.
func (r *reading) gone(kind directory.Kind, id directory.ExternalID) error {
	if !r.changes || id == "" {
		return nil
	}
	return r.hand(&directory.Record{Kind: kind, ID: id, Gone: true})
}
