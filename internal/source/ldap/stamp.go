package ldap

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/directory"
)

// stamp is a GeneralizedTime (RFC 4517, 3.3.13) in UTC to the second: fourteen
// digits, which compare as text. Servers add fractions, which do not matter here.
type stamp string

const stampLayout = "20060102150405"

// parseStamp gives "" for what is none.
func parseStamp(v string) stamp {
	if len(v) < 15 || v[len(v)-1] != 'Z' || strings.Trim(v[:14], "0123456789") != "" {
		return ""
	}
	return stamp(v[:14])
}

// before is the stamp of a time earlier.
func (s stamp) before(d time.Duration) stamp {
	t, err := time.Parse(stampLayout, string(s))
	if err != nil {
		return ""
	}
	return stamp(t.Add(-d).Format(stampLayout))
}

// noteStamps keeps the latest stamp there is: the server's own clock as far as it
// can be known.
func (r *reading) noteStamps(values []string) {
	if !r.stamped {
		return
	}
	if len(values) == 0 {
		r.stampless++
	}
	for _, v := range values {
		if s := parseStamp(v); s > r.newest {
			r.newest = stamp(strings.Clone(string(s)))
		}
	}
}

// byStamp finds changes by the time each entry carries (modifyTimestamp, RFC
// 4512, 3.4.4). It sees neither what was deleted nor what was moved away.
type byStamp struct {
	began time.Time // by our clock, to tell how long the reading took
}

// stampOverlap is how much of what was seen is looked at again: changes replicated
// from another server come late, under the time that one gave them.
const stampOverlap = 2 * time.Minute

func (*byStamp) name() string { return methodStamp }

// stampAttributes are the attributes with the time. Some servers (Apache
// Directory) give an entry the second one with its first change only.
func (r *reading) stampAttributes() []string {
	if r.preset.vendor == vendorAD {
		return []string{"whenChanged"} // there modifyTimestamp cannot be searched
	}
	return []string{"createTimestamp", "modifyTimestamp"}
}

// askStamps has a decoder look at them.
func (r *reading) askStamps(d *decoder) {
	for _, a := range r.stampAttributes() {
		d.ask(a, roleStamp)
	}
}

// begin has the stamps read along. What the server searches by them is asked
// first: one that cannot would find nothing for ever, and say that all is well.
func (t *byStamp) begin(r *reading, _ *bookmark, halves []*half) error {
	t.began = time.Now()
	r.stamped, r.stampless, r.newest = true, 0, ""
	for _, h := range halves {
		r.askStamps(&h.decoder)
	}
	found := 0
	q := query{base: r.base, scope: scopeSub, filter: r.changedSince("19700101000000"), attributes: []string{"1.1"}, sizeLimit: 1}
	res, err := r.c.ask(&q, func(cursor) error { found++; return nil }, func([]string) {})
	switch {
	case err != nil:
		return r.failed("entries", q, err, found)
	case found == 0 && res.code != 0:
		return cannot("the server does not search by the time of a change (%s)", res.err())
	case found == 0:
		return cannot("the server does not find entries by the time of a change")
	}
	return nil
}

func (r *reading) changedSince(s stamp) []byte {
	suffix := "Z"
	if r.preset.vendor == vendorAD {
		suffix = ".0Z"
	}
	var parts [][]byte
	for _, a := range r.stampAttributes() {
		parts = append(parts, compare(filterAtLeast, a, string(s)+suffix))
	}
	return combine(filterOr, parts...)
}

// finish sets the mark before the time the reading began. The latest stamp was
// given while it went on, so what lies before that by as long as the reading took
// lies before its beginning, whatever the server's clock shows.
func (t *byStamp) finish(r *reading, b *bookmark) error {
	switch {
	case r.stampless > 0:
		return cannot("%d entries do not show when they were changed", r.stampless)
	case r.newest == "":
		return cannot("no entry shows when it was changed")
	}
	b.Server = r.c.srv.String()
	b.Stamp = t.mark(r)
	if b.Stamp == "" {
		return cannot("the server gives the time as %q", r.newest)
	}
	return nil
}

func (t *byStamp) mark(r *reading) stamp {
	return r.newest.before(stampOverlap + time.Since(t.began).Round(time.Second) + time.Second)
}

func (t *byStamp) find(r *reading, b *bookmark, halves []*half) ([]*found, error) {
	if b.Server != r.c.srv.String() {
		return nil, cannot("%s answers now, and the last time it was %s", r.c.srv, b.Server)
	}
	if parseStamp(string(b.Stamp)+"Z") == "" {
		return nil, cannot("the bookmark of the last reading has no time in it")
	}
	t.began = time.Now()
	r.stamped, r.newest = true, ""
	var out []*found
	for _, h := range halves {
		f, err := t.half(r, b, h)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	if s := t.mark(r); r.newest != "" && s > b.Stamp {
		b.Stamp = s
	}
	r.stamped = false
	return out, nil
}

// half finds what changed below the base of a half, also what does not match
// its filter (any more).
func (t *byStamp) half(r *reading, b *bookmark, h *half) (*found, error) {
	names := newDecoder(h.kind, r.anchor, placeAttributes, "", nil)
	r.askStamps(&names)
	q := query{base: h.query.base, scope: h.query.scope, filter: r.changedSince(b.Stamp), attributes: names.request()}
	f := &found{}
	err := r.collect(q, func(op cursor) error {
		rec, _, err := names.record(op)
		if err != nil {
			return err
		}
		r.noteStamps(names.stamps)
		return r.take(f, rec, h)
	})
	return f, err
}

// take takes down an entry that changed.
func (r *reading) take(f *found, rec *directory.Record, h *half) error {
	if len(f.keys)+len(f.odd) >= mostChanges {
		return errTooMany
	}
	place := isPlace(rec.Get("objectClass"))
	if place || strings.EqualFold(rec.First(hasSubordinates), "TRUE") {
		r.takePlace(f, rec.Ref, h)
	}
	switch {
	case place:
	case rec.ID == "":
		f.odd = append(f.odd, strings.Clone(rec.Ref))
	default:
		return r.takeKey(f, strings.Clone(anchorValue(r.anchor, string(rec.ID))))
	}
	return nil
}

// takeKey takes down an entry by what it is known by.
func (r *reading) takeKey(f *found, key string) error {
	if len(f.keys) >= mostChanges {
		return errTooMany
	}
	f.keys = append(f.keys, key)
	return nil
}

// takePlace takes down a container that changed. What lies above all that is
// read does not count: whether the base is still the same entry was looked at.
func (r *reading) takePlace(f *found, dn string, h *half) {
	if !under(Refer(h.query.base), Refer(dn)) {
		f.places = append(f.places, strings.Clone(dn))
	}
}

// places are the classes of entries that are there for others to lie below. In most
// servers others may lie below any entry, a person too; hasSubordinates (RFC 3673,
// X.501) tells where some do.
var places = []string{"organizationalUnit", "organization", "container", "nsContainer", "domain", "dcObject", "builtinDomain", "locality", "country"}

const hasSubordinates = "hasSubordinates"

// placeAttributes tell whether others lie below an entry.
var placeAttributes = []string{"objectClass", hasSubordinates}

func isPlace(classes []string) bool {
	return slices.ContainsFunc(classes, func(c string) bool { return containsFold(places, c) })
}

// collect goes through all pages of a search in the first step. Whatever is not
// whole there cannot be used.
func (r *reading) collect(q query, entry func(op cursor) error) error {
	q.elsewhere = true
	e, err := r.pages("entries", q, entry, func() error { return nil })
	switch {
	case err != nil:
		return err
	case e.untold:
		return cannot("the server did not say whether it told all that changed")
	case e.code != 0:
		return cannot("the server does not tell what changed (%s)", e.err())
	}
	return nil
}

func (t *byStamp) blind(r *reading, _ []*half) ([]string, bool, error) {
	what := []string{"people and groups that were deleted, or moved away from the base"}
	if r.preset.vendor == vendorOpenLDAP {
		what = append(what, "what overlays write into entries without the time of it (locks by ppolicy)")
	}
	return append(what, fmt.Sprintf("changes replicated from another server more than %s after they were made", stampOverlap)), true, nil
}
