package ldap

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// follower keeps the picture of a directory as the mirror does: by one full
// reading and then changes.
type follower struct {
	t       *testing.T
	v       setting.Values
	wanted  []string
	cursor  source.Cursor
	picture map[string]directory.Record // by kind and ID
	former  map[string]string           // whom a ref meant, by its normalised form
	now     time.Time
	sweep   bool
	whole   []string // names of the records the last reading handed on
	present int      // entries it said to be there
	anew    int      // how often everything was read in place of changes
	zone    zone     // answers look-ups, if set

	announced int // entries the last reading said to come soon
}

func follow(t *testing.T, v setting.Values, wanted ...string) *follower {
	return &follower{t: t, v: v, wanted: wanted, picture: map[string]directory.Record{}, former: map[string]string{}, now: time.Unix(1_800_000_000, 0)}
}

func keyOf(r *directory.Record) string {
	kind := r.Kind
	if kind == directory.Inner {
		kind = directory.Group // it stays the one it is when it is selected
	}
	if r.ID == "" {
		return fmt.Sprintf("%s without ID %s", kind, r.Ref)
	}
	return fmt.Sprintf("%s %s", kind, r.ID)
}

// show is a reading as text.
func show(r source.Reading) string {
	return fmt.Sprintf("%s full %v swept %v complete %v (%s) users %d groups %d notes %q", r.Method, r.Full, r.Swept, r.Complete, r.Reason, r.Users, r.Groups, r.Notes)
}

// shape is a record as text, without the order directories do not promise, and
// with those it refers to by what they are known as: a record that did not change
// may still call somebody by a former DN, which the engine remembers.
func (f *follower) shape(key string) string {
	r, ok := f.picture[key]
	if !ok {
		return ""
	}
	refs := func(values []string) []string {
		var out []string
		for _, v := range values {
			k := f.former[Refer(v)]
			if _, there := f.picture[k]; there {
				out = append(out, k)
			}
		}
		slices.Sort(out)
		return out
	}
	var attributes []string
	for _, a := range r.Attributes {
		values := slices.Sorted(slices.Values(a.Values))
		if strings.EqualFold(a.Name, "manager") {
			if values = refs(values); len(values) == 0 {
				continue
			}
		}
		attributes = append(attributes, fmt.Sprintf("%s=%q", a.Name, values))
	}
	slices.Sort(attributes)
	return fmt.Sprintf("%s %s %s %q primary %q problem %q", r.Kind, Refer(r.Ref), attributes, refs(r.Members), refs([]string{r.Primary}), r.Problem)
}

// prune takes away the groups that are in no selected one any more: a reading of changes
// leaves them for the next full one.
func (f *follower) prune() {
	reached := map[string]bool{}
	var next []string
	for key, r := range f.picture {
		if r.Kind == directory.Group {
			next = append(next, key)
		}
	}
	for len(next) > 0 {
		r := f.picture[next[len(next)-1]]
		next = next[:len(next)-1]
		for _, m := range r.Members {
			key := f.former[Refer(m)]
			if in, ok := f.picture[key]; ok && in.Kind == directory.Inner && !reached[key] {
				reached[key] = true
				next = append(next, key)
			}
		}
	}
	maps.DeleteFunc(f.picture, func(key string, r directory.Record) bool { return r.Kind == directory.Inner && !reached[key] })
}

func (f *follower) open() source.Source {
	if f.zone != nil {
		return openIn(f.t, f.zone, maps.Clone(f.v))
	}
	return mustOpen(f.t, maps.Clone(f.v))
}

// read reads once, and takes what was said into the picture.
func (f *follower) read() source.Reading {
	f.t.Helper()
	got, err := f.try()
	if err != nil {
		f.t.Fatal(err)
	}
	return got
}

func (f *follower) try() (source.Reading, error) {
	f.t.Helper()
	picture := maps.Clone(f.picture)
	seen := map[string]bool{}
	f.whole, f.present, f.anew, f.announced = nil, 0, 0, 0
	req := source.Request{From: f.cursor, Attributes: f.wanted, Now: f.now, Sweep: f.sweep}
	if f.cursor != nil {
		req.Known = func(kind directory.Kind, id directory.ExternalID) (bool, error) {
			_, ok := picture[keyOf(&directory.Record{Kind: kind, ID: id})]
			return ok, nil
		}
		req.Soon = func(_ directory.Kind, ids []directory.ExternalID) error {
			if slices.Contains(ids, "") {
				f.t.Error("an entry without an ID is about to come")
			}
			f.announced += len(ids)
			return nil
		}
		req.Anew = func() error {
			if f.anew++; len(seen) > 0 {
				f.t.Errorf("everything is read after %d entries were handed on", len(seen))
			}
			return nil
		}
	}
	got, err := f.open().Read(f.t.Context(), req, func(r *directory.Record) error {
		key := keyOf(r)
		switch {
		case r.Gone:
			delete(picture, key)
			delete(seen, key)
		case r.Present:
			f.present++
			if _, ok := picture[key]; !ok {
				f.t.Errorf("%s is said to be there, and nothing is known of it", key)
			}
			seen[key] = true
		default:
			f.whole = append(f.whole, strings.Clone(r.Name))
			picture[key] = kept(f.t, r)
			f.former[Refer(r.Ref)] = key
			seen[key] = true
		}
		return nil
	})
	if err != nil {
		return got, err
	}
	if f.cursor != nil && got.Full != (f.anew == 1) {
		f.t.Errorf("full: %v, and said so %d times", got.Full, f.anew)
	}
	if got.Complete && (got.Full || got.Swept) {
		for key := range picture {
			if !seen[key] {
				delete(picture, key)
			}
		}
	}
	f.picture = picture
	if got.Complete {
		f.cursor = got.Next
	}
	return got, nil
}

// follows reads the changes and compares the picture with one of a full reading.
func (f *follower) follows(method string) source.Reading {
	f.t.Helper()
	got := f.read()
	if got.Method != method || !got.Complete {
		f.t.Errorf("%s, want changes by %s", show(got), method)
	}
	f.compare()
	return got
}

func (f *follower) compare() {
	f.t.Helper()
	fresh := follow(f.t, f.v, f.wanted...)
	fresh.zone = f.zone
	// Not every server carries a rename on into groups.
	fresh.former = maps.Clone(f.former)
	fresh.v = maps.Clone(f.v)
	fresh.v["sync.method"] = "off"
	if got := fresh.read(); !got.Complete || !got.Full {
		f.t.Fatal(show(got))
	}
	f.prune()
	for _, key := range slices.Sorted(maps.Keys(fresh.picture)) {
		if known, is := f.shape(key), fresh.shape(key); known != is {
			f.t.Errorf("%s is known as\n%s, and is\n%s", key, known, is)
		}
	}
	for key := range f.picture {
		if _, ok := fresh.picture[key]; !ok {
			f.t.Errorf("%s is known, and not there: %s", key, f.shape(key))
		}
	}
}

// kept is a copy of a record.
func kept(t *testing.T, r *directory.Record) (out directory.Record) {
	t.Helper()
	if err := out.Decode(r.Append(nil)); err != nil {
		t.Fatal(err)
	}
	return out
}
