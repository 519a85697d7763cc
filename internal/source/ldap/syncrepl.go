package ldap

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/directory"
)

// syncrepl finds changes by content synchronization (RFC 4533): the server tells
// what became of the entries of a search since a cookie. People and groups are
// two searches, and the containers they lie in are more.
type syncrepl struct{}

func (*syncrepl) name() string { return methodSync }

// refresh is what one sync search told besides entries.
type refresh struct {
	cookie  []byte
	deletes bool // what went was named
	present bool // what is there was named
}

// listener takes what a sync search says of entries. An error ends the search.
type listener struct {
	entry func(state int, id syncUUID, op cursor) error
	ids   func(present bool, ids []syncUUID) error
}

// refresh asks for what changed since a cookie; nil asks for everything. It
// demands what a server that only pretends leaves out: the control on each entry
// and at the end, and a cookie.
func (r *reading) refresh(what string, q query, cookie []byte, to listener) (refresh, error) {
	var out refresh
	q.controls = []control{syncControl(syncRefreshOnly, cookie)}
	entries := 0
	res, err := r.c.search(&q, answers{
		entry: func(m message) error {
			entries++
			value, ok, err := findControl(m.controls, oidSyncState)
			if err != nil {
				return err
			}
			if !ok {
				return cannot("the server sends entries without saying what became of them")
			}
			state, id, err := decodeSyncState(value)
			if err != nil {
				return err
			}
			out.present = out.present || state == statePresent
			return to.entry(state, id, m.op)
		},
		intermediate: func(m message) error {
			info, err := decodeSyncInfo(m)
			if err != nil || info == nil {
				return err
			}
			if info.cookie != nil {
				out.cookie = info.cookie
			}
			out.present = out.present || info.present
			if info.set {
				return to.ids(info.present, info.ids)
			}
			return nil
		},
		reference: func(uris []string) { r.reference(uris, q.base) },
	})
	var no *unusable
	switch {
	case errors.As(err, &no):
		return out, err
	case err != nil:
		return out, r.failed(what, q, err, entries)
	case res.code != 0:
		return out, cannot("the server refuses (%s)", res.err())
	}
	err = out.end(res)
	if err == nil && len(out.cookie) == 0 {
		// Where nothing changed there need not be a new one.
		if out.cookie = cookie; len(cookie) == 0 {
			err = cannot("the server gives no cookie from which to go on")
		}
	}
	return out, err
}

// end takes the control of the end.
func (f *refresh) end(res result) error {
	value, ok, err := findControl(res.controls, oidSyncDone)
	if err != nil {
		return err
	}
	if !ok {
		return cannot("the server did not answer the control of content synchronization")
	}
	cookie, deletes, err := decodeSyncDone(value)
	if err != nil {
		return err
	}
	f.deletes = deletes
	if cookie != nil {
		f.cookie = cookie
	}
	return nil
}

// emptyRefresh takes a cookie of a search without listening to what it finds.
// OpenLDAP's are marks in the history of its database, which a search that finds
// nothing is given as well. Others belong to the search, so the names of all it
// finds have to be taken in.
func (r *reading) emptyRefresh(what string, q query) (refresh, error) {
	q.attributes = []string{"1.1"}
	if r.preset.vendor == vendorOpenLDAP {
		q.scope, q.filter = scopeBase, compare(filterEqual, entryUUID, "00000000-0000-0000-0000-000000000000")
	}
	return r.refresh(what, q, nil, listener{
		entry: func(int, syncUUID, cursor) error { return nil },
		ids:   func(bool, []syncUUID) error { return nil },
	})
}

func (s *syncrepl) begin(r *reading, b *bookmark, halves []*half) error {
	for _, w := range r.syncSearches(halves) {
		got, err := r.emptyRefresh(w.name, w.query)
		if err != nil {
			return err
		}
		b.keep(w.name, got.cookie)
	}
	return nil
}

func (*syncrepl) finish(*reading, *bookmark) error { return nil }

// syncSearch is one of the searches whose changes are followed.
type syncSearch struct {
	name  string // of its cookie
	query query
	of    []int // the halves it belongs to
	what  syncKind
}

type syncKind uint8

const (
	syncRecords    syncKind = iota // the entries of one half, whole
	syncContainers                 // what they lie in
	syncAll                        // everything below a base: who changed and no more
)

var placesFilter = combine(filterOr, anyOf("objectClass", places), compare(filterEqual, hasSubordinates, "TRUE"))

// syncSearches are those that fit the server. OpenLDAP sends what was asked for,
// tells when an entry no longer matches, and gives one cookie as good as any
// other. 389 Directory Server sends other attributes, without those such as
// nsAccountLock that have to be asked for, and says nothing of who no longer
// matches: so all that is asked of it, and of those not known to do better, is
// who changed, without a filter and wherever it went.
func (r *reading) syncSearches(halves []*half) []syncSearch {
	var out []syncSearch
	add := func(what syncKind, i int, name string, q query) {
		for j := range out {
			if out[j].name == name {
				out[j].of = append(out[j].of, i)
				return
			}
		}
		out = append(out, syncSearch{name, q, []int{i}, what})
	}
	for i, h := range halves {
		if r.preset.vendor == vendorOpenLDAP {
			add(syncRecords, i, h.what, h.query)
			continue
		}
		base := r.contextOf(h.query.base)
		if base == "" {
			base = h.query.base
		}
		add(syncAll, i, "all below "+Refer(base), query{base: base, scope: scopeSub, filter: everything})
	}
	for i, h := range halves {
		if r.preset.vendor == vendorOpenLDAP && h.query.scope == scopeSub {
			add(syncContainers, i, "places below "+Refer(h.query.base), query{base: h.query.base, scope: scopeSub, filter: placesFilter})
		}
	}
	return out
}

// openLDAPCookie is what a cookie of OpenLDAP looks like. It answers one that it
// cannot read as if there was none, and says that what went was named.
var openLDAPCookie = regexp.MustCompile(`^rid=\d{3}(,sid=[0-9a-f]{3})?,csn=[0-9]{14}\.[0-9]{6}Z#[0-9a-f]{6}#[0-9a-f]{3}#[0-9a-f]{6}(;[0-9]{14}\.[0-9]{6}Z#[0-9a-f]{6}#[0-9a-f]{3}#[0-9a-f]{6})*(,delcsn=[^,]*)?$`)

func (s *syncrepl) find(r *reading, b *bookmark, halves []*half) ([]*found, error) {
	out := make([]*found, len(halves))
	for i := range halves {
		out[i] = &found{}
	}
	for _, w := range r.syncSearches(halves) {
		cookie := b.cookie(w.name)
		if len(cookie) == 0 || r.preset.vendor == vendorOpenLDAP && !openLDAPCookie.Match(cookie) {
			return nil, cannot("the bookmark of the last reading has no usable cookie for %s", w.name)
		}
		var got refresh
		var err error
		switch w.what {
		case syncRecords:
			got, err = s.records(r, w, cookie, halves[w.of[0]], out[w.of[0]])
		case syncContainers:
			got, err = s.containers(r, w, cookie, halves, out)
		default:
			got, err = s.all(r, w, cookie, halves, out)
		}
		if err != nil {
			return nil, err
		}
		b.keep(w.name, got.cookie)
	}
	return out, nil
}

// records takes down what became of people or groups.
func (s *syncrepl) records(r *reading, w syncSearch, cookie []byte, h *half, f *found) (refresh, error) {
	q := w.query
	d := &h.decoder
	q.attributes = d.request()
	got, err := r.refresh(w.name, q, cookie, listener{
		entry: func(state int, id syncUUID, op cursor) error {
			if state == stateDelete || state == statePresent {
				r.name(f, state == statePresent, id)
				return nil
			}
			rec, parts, err := d.record(op)
			if err != nil {
				return err
			}
			return r.takeWhole(f, rec, len(parts) == 0, d, id)
		},
		ids: func(present bool, ids []syncUUID) error {
			for _, id := range ids {
				r.name(f, present, id)
			}
			return nil
		},
	})
	f.conclude(r, got)
	return got, err
}

// all takes down who changed in a naming context.
func (s *syncrepl) all(r *reading, w syncSearch, cookie []byte, halves []*half, out []*found) (refresh, error) {
	q := w.query
	q.attributes = placeAttributes
	names := newDecoder(halves[w.of[0]].kind, r.anchor, q.attributes, "", nil)
	got, err := r.refresh(w.name, q, cookie, listener{
		entry: func(state int, id syncUUID, op cursor) error {
			rec, _, err := names.record(op)
			if err != nil {
				return err
			}
			rec.ID = id.externalID(r.anchor)
			for _, i := range w.of {
				if state == stateDelete || state == statePresent {
					r.name(out[i], state == statePresent, id)
				} else if err := r.take(out[i], rec, halves[i]); err != nil {
					return err
				}
			}
			return nil
		},
		ids: func(present bool, ids []syncUUID) error {
			for _, i := range w.of {
				for _, id := range ids {
					r.name(out[i], present, id)
				}
			}
			return nil
		},
	})
	for _, i := range w.of {
		out[i].conclude(r, got)
	}
	if err != nil {
		return got, err
	}
	// 389 Directory Server's content synchronization sends an entry without what is
	// reckoned: whether others lie below it is asked for.
	err = r.holders(w.query.base, out[w.of[0]].keys, func(dn string) {
		for _, i := range w.of {
			r.takePlace(out[i], dn, halves[i])
		}
	})
	return got, err
}

// holders calls fn for those of some entries below a base which others lie below.
func (r *reading) holders(base string, keys []string, fn func(dn string)) error {
	for some := range slices.Chunk(keys, batch) {
		names := newDecoder(directory.User, r.anchor, placeAttributes, "", nil)
		q := query{base: base, scope: scopeSub, filter: anyOf(r.anchor, some), attributes: names.request()}
		err := r.collect(q, func(op cursor) error {
			rec, _, err := names.record(op)
			if err == nil && strings.EqualFold(rec.First(hasSubordinates), "TRUE") {
				fn(rec.Ref)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// name takes down what is still there, and what is not.
func (r *reading) name(f *found, present bool, id syncUUID) {
	if present {
		f.present = append(f.present, id)
	} else {
		f.gone = append(f.gone, id.externalID(r.anchor))
	}
}

// conclude takes down what the end of a refresh means. That not all that went
// was named says that what is there was. 389 Directory Server says so without
// having named anything, and means nothing by it; with any other it is looked at.
func (f *found) conclude(r *reading, got refresh) {
	f.named = f.named || !got.deletes && got.present
	f.doubtful = f.doubtful || !got.deletes && !got.present && r.preset.vendor != vendor389
}

// takeWhole takes down an entry that came whole.
func (r *reading) takeWhole(f *found, rec *directory.Record, whole bool, d *decoder, id syncUUID) error {
	want := id.externalID(r.anchor)
	switch {
	case len(f.records)+len(f.omitted)+len(f.keys) >= mostChanges:
		return errTooMany
	case rec.ID != "" && !strings.EqualFold(string(rec.ID), string(want)):
		return cannot("the server tells of %s under another %s than it shows", quoted(rec.Name), r.anchor)
	case d.excluded:
		// Its members, which may be very many, hardly ever matter.
		f.omitted = append(f.omitted, directory.Record{Kind: rec.Kind, ID: directory.ExternalID(strings.Clone(string(rec.ID))), Ref: strings.Clone(rec.Ref)})
		return nil
	case !whole:
		f.keys = append(f.keys, anchorValue(r.anchor, string(want)))
		return nil
	}
	f.records = append(f.records, keep(rec))
	return nil
}

// containers takes down those that changed.
func (s *syncrepl) containers(r *reading, w syncSearch, cookie []byte, halves []*half, out []*found) (refresh, error) {
	q := w.query
	q.attributes = []string{"1.1"}
	var changed, went []string
	got, err := r.refresh(w.name, q, cookie, listener{
		entry: func(state int, id syncUUID, op cursor) error {
			dn, _, err := entryParts(op)
			switch state {
			case stateAdd, stateModify, stateRename:
				changed = append(changed, strings.Clone(dn))
			case stateDelete:
				went = append(went, string(id.externalID(r.anchor)))
			}
			return err
		},
		ids: func(present bool, ids []syncUUID) error {
			for _, id := range ids {
				if !present {
					went = append(went, string(id.externalID(r.anchor)))
				}
			}
			return nil
		},
	})
	// OpenLDAP tells of its last change again and again until there is another.
	if err != nil || string(got.cookie) == string(cookie) {
		return got, err
	}
	away, err := s.away(r, q.base, went)
	if err != nil {
		return got, err
	}
	for _, i := range w.of {
		out[i].doubtful = out[i].doubtful || !got.deletes
		for _, dn := range slices.Concat(changed, away) {
			r.takePlace(out[i], dn, halves[i])
		}
	}
	return got, nil
}

// away gives where containers are that went from below a base. What lies in them
// went with them, and no server marks that as a change. Most of what is said to
// have gone never was a container: OpenLDAP says so of all that changed and does
// not match the filter.
func (s *syncrepl) away(r *reading, base string, went []string) ([]string, error) {
	context := r.contextOf(base)
	if context == "" {
		context = base
	}
	var out []string
	for some := range slices.Chunk(went, batch) {
		q := query{base: context, scope: scopeSub, filter: combine(filterAnd, placesFilter, anyOf(r.anchor, some)), attributes: []string{"1.1"}}
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

func (*syncrepl) blind(r *reading, _ []*half) ([]string, bool, error) {
	if r.preset.vendor == vendorOpenLDAP {
		return []string{"what overlays write into entries without marking them as changed (memberof, refint, locks by ppolicy)"}, false, nil
	}
	return nil, false, nil
}
