package engine

import (
	"context"
	"slices"

	"rollcall.dev/rollcall/internal/directory"
)

// refs knows what refs mean. A reading of changes does not bring the entries
// that merely name one that was renamed or went (in Active Directory and OpenLDAP
// a group's stamp stays when a member's name changes), so a row's refs mean what
// they meant when the row was read. The next full reading ends this.
type refs struct {
	former map[directory.Digest][]former // in the order of until
	now    map[directory.Digest]directory.Digest
	back   map[directory.Digest]int64 // since when those are there again who went, by ref
}

type former struct {
	until int64
	key   directory.Digest
}

// loadRefs reads what earlier refs meant, and the refs those entries have now.
func loadRefs(ctx context.Context, store Mirror, connection string) (*refs, error) {
	r := &refs{former: map[directory.Digest][]former{}, now: map[directory.Digest]directory.Digest{}, back: map[directory.Digest]int64{}}
	if err := store.Returned(ctx, connection, func(ref directory.Digest, since int64) { r.back[ref] = since }); err != nil {
		return nil, err
	}
	var keys []directory.Digest
	err := store.Former(ctx, connection, func(ref directory.Digest, until int64, key directory.Digest) {
		r.former[ref] = append(r.former[ref], former{until: until, key: key})
		keys = append(keys, key)
	})
	if err != nil || len(keys) == 0 {
		return r, err
	}
	rows, err := store.Rows(ctx, connection, keys)
	for i := range rows {
		if !rows[i].Gone {
			r.now[rows[i].Key] = rows[i].Ref
		}
	}
	return r, err
}

// of gives the present form of a ref in a row of a generation. It is zero, which
// no entry has, where the one that was meant is gone.
func (r *refs) of(ref directory.Digest, generation int64) directory.Digest {
	if key, ok := r.meant(ref, generation); ok {
		return r.now[key]
	}
	return ref
}

// member is of for a ref among a group's members: whoever went and came back is in no
// group that was not read since.
func (r *refs) member(ref directory.Digest, generation int64) directory.Digest {
	out := r.of(ref, generation)
	if r.back[out] > generation {
		return directory.Digest{}
	}
	return out
}

// meant gives the key of the entry that a ref in a row of a generation means,
// where that is another one than carries it now, or none does.
func (r *refs) meant(ref directory.Digest, generation int64) (key directory.Digest, ok bool) {
	for _, f := range r.former[ref] {
		if f.until > generation {
			return f.key, true
		}
	}
	return key, false
}

// formerly gives the refs that entries with these refs had before.
func (r *refs) formerly(refs []directory.Digest) []directory.Digest {
	var out []directory.Digest
	for old, list := range r.former {
		for _, f := range list {
			if now, ok := r.now[f.key]; ok && slices.Contains(refs, now) {
				out = append(out, old)
			}
		}
	}
	return out
}

// any reports that some refs do not mean what they say.
func (r *refs) any() bool { return len(r.former)+len(r.back) > 0 }
