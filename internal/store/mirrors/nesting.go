package mirrors

import (
	"context"
	"slices"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/mirror"
)

// Nesting is which groups of a connection are in which, by the keys of their
// entries, as the directory says so.
type Nesting struct {
	Inside map[directory.Digest][]directory.Digest // the groups in each
	Around map[directory.Digest][]directory.Digest // the groups each is in
	Inner  map[directory.Digest]bool               // those that are read for their members alone
}

// Nesting reads it from the latest picture. It goes through all members of all
// groups, so whoever asks often keeps it: it changes with the generation alone.
func (m *Mirrors) Nesting(ctx context.Context, connection string) (*Nesting, error) {
	n := &Nesting{Inside: map[directory.Digest][]directory.Digest{}, Around: map[directory.Digest][]directory.Digest{}, Inner: map[directory.Digest]bool{}}
	keys := map[directory.Digest]directory.Digest{} // a ref to the key of its group
	err := m.Groups(ctx, connection, false, func(g *mirror.Group) {
		if g.Gone {
			return
		}
		keys[g.Ref] = g.Key
		if g.Inner {
			n.Inner[g.Key] = true
		}
	})
	if err != nil {
		return nil, err
	}
	type renamed struct {
		until int64
		key   directory.Digest
	}
	former := map[directory.Digest][]renamed{} // what refs meant to rows read before, in the order of until
	err = m.Former(ctx, connection, func(ref directory.Digest, until int64, key directory.Digest) {
		former[ref] = append(former[ref], renamed{until, key})
	})
	if err != nil {
		return nil, err
	}
	back := map[directory.Digest]int64{}
	err = m.Returned(ctx, connection, func(ref directory.Digest, since int64) { back[keys[ref]] = since })
	if err != nil {
		return nil, err
	}
	there := map[directory.Digest]bool{}
	for _, key := range keys {
		there[key] = true
	}
	err = m.Groups(ctx, connection, true, func(g *mirror.Group) {
		if g.Gone {
			return
		}
		for at := 0; at+16 <= len(g.Refs); at += 16 {
			ref := directory.Digest(g.Refs[at:])
			key, ok := keys[ref]
			if i := slices.IndexFunc(former[ref], func(f renamed) bool { return f.until > g.Generation }); i >= 0 {
				key = former[ref][i].key
				ok = there[key]
			}
			if ok && key != g.Key && back[key] <= g.Generation {
				n.Inside[g.Key] = append(n.Inside[g.Key], key)
				n.Around[key] = append(n.Around[key], g.Key)
			}
		}
	})
	return n, err
}
