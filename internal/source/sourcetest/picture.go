package sourcetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/source"
)

// Picture is what readings came to so far, as the mirror would have it.
type Picture struct {
	Records map[directory.Digest]*directory.Record
	Next    source.Cursor
	// refs is whom each ref meant that was ever told, as the engine keeps them: what
	// changed its name is known by the old one in records read before.
	refs  map[string]directory.ExternalID
	refer func(string) string
	suite *Suite
	src   source.Source
	clock *Clock
	// Sweep is asked of the next reading of changes.
	Sweep bool
}

// Read reads once more. What is not complete removes nobody, and what ends with an
// error changes nothing.
func (p *Picture) Read(ctx context.Context) (source.Reading, error) {
	fresh, said := map[directory.Digest]*directory.Record{}, map[directory.Digest]bool{}
	anew := p.Next == nil
	req := source.Request{From: p.Next, Now: p.clock.Now(), Attributes: []string{p.suite.Login}, Sweep: p.Sweep}
	if p.Next != nil {
		req.Known = func(k directory.Kind, id directory.ExternalID) (bool, error) {
			_, ok := p.Records[directory.KeyOf(k, id)]
			return ok, nil
		}
		req.Anew = func() error {
			if len(said) > 0 {
				return fmt.Errorf("reading anew was told after %d records", len(said))
			}
			anew = true
			return nil
		}
	}
	reading, err := p.src.Read(ctx, req, func(r *directory.Record) error {
		if r.ID == "" && r.Problem == "" {
			return fmt.Errorf("a record without ID and problem: %+v", *r)
		}
		key := directory.KeyOf(r.Kind, r.ID)
		said[key] = true
		switch {
		case r.Gone:
			fresh[key] = nil
		case r.Present:
			if anew {
				return fmt.Errorf("only named in a full reading: %s", r.ID)
			}
		default:
			fresh[key] = clone(r)
		}
		return nil
	})
	if err != nil {
		return reading, err
	}
	if reading.Full != anew {
		return reading, fmt.Errorf("the reading is full: %v, and Anew was called: %v", reading.Full, anew)
	}
	if reading.Complete && (reading.Full || reading.Swept) {
		for key := range p.Records {
			if !said[key] {
				delete(p.Records, key)
			}
		}
	}
	for key, r := range fresh {
		if r == nil && reading.Complete {
			delete(p.Records, key)
		} else if r != nil {
			p.Records[key] = r
			if r.Kind == directory.User {
				p.refs[p.refer(r.Ref)] = r.ID
			}
		}
	}
	if reading.Complete {
		p.Next = slices.Clone(reading.Next)
	}
	return reading, nil
}

func clone(r *directory.Record) *directory.Record {
	c := &directory.Record{}
	if err := c.Decode(r.Append(nil)); err != nil {
		panic(err)
	}
	c.Gone, c.Present = false, false
	return c
}

// Text is the picture in lines, sorted: people by ID and login, groups by ID, name
// and members.
func (p *Picture) Text() string {
	var lines []string
	for _, r := range p.Records {
		if r.Kind == directory.User {
			lines = append(lines, fmt.Sprintf("person %s %q", r.ID, r.First(p.suite.Login)))
			continue
		}
		var members []string
		for _, ref := range r.Members {
			id := p.refs[p.refer(ref)]
			if _, there := p.Records[directory.KeyOf(directory.User, id)]; there && id != "" {
				members = append(members, string(id))
			}
		}
		slices.Sort(members)
		lines = append(lines, fmt.Sprintf("group %s %q %s", r.ID, r.First(p.suite.Group), strings.Join(slices.Compact(members), " ")))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// Text is the world as a picture of it should be.
func (w World) Text() string {
	var lines []string
	for _, p := range w.People {
		lines = append(lines, fmt.Sprintf("person %s %q", p.ID, p.Login))
	}
	for _, g := range w.Groups {
		members := slices.Clone(g.Members)
		slices.Sort(members)
		lines = append(lines, fmt.Sprintf("group %s %q %s", g.ID, g.Name, strings.Join(members, " ")))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// same fails the test where a picture is not the world.
func same(t testing.TB, p *Picture, w World) {
	t.Helper()
	if got, want := p.Text(), w.Text(); got != want {
		t.Fatalf("read:\n%s\n\nwant:\n%s", got, want)
	}
}

func pictureOf(b *bench) *Picture {
	return &Picture{Records: map[directory.Digest]*directory.Record{}, refs: map[string]directory.ExternalID{}, refer: b.kind.Refer, suite: b.suite, src: b.open(), clock: b.clock}
}

// like gives a picture what another one shows.
func (p *Picture) like(q *Picture) *Picture {
	p.Records, p.refs = maps.Clone(q.Records), maps.Clone(q.refs)
	return p
}
