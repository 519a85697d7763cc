package okta

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"

	"rollcall.dev/rollcall/internal/fault"
)

// members gives the refs of the members of each group, in the order of the groups. A
// few groups are read at a time; each, where not nil, is told of every member, and
// never twice at a time.
func (p *pass) members(list []*entry, each func(*entry) error) ([][]string, error) {
	ctx, stop := context.WithCancelCause(p.ctx)
	defer stop(nil)
	out := make([][]string, len(list))
	m := &gathering{pass: p, each: each}
	work := make(chan int)
	var workers sync.WaitGroup
	for n := range min(p.set.parallel, len(list)) {
		workers.Go(func() {
			for i := range work {
				refs, err := m.of(ctx, list[i])
				if err != nil {
					stop(err)
					return
				}
				out[i] = refs
				// Okta may have asked for fewer at a time meanwhile.
				if n > 0 && n >= int(p.api.most.Load()) {
					return
				}
			}
		})
	}
	for i := range list {
		select {
		case work <- i:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(work)
	workers.Wait()
	if err := context.Cause(ctx); err != nil {
		if p.ctx.Err() != nil {
			return nil, fault.New(fault.Unavailable, "okta: read the members of groups: %w", context.Cause(p.ctx))
		}
		return nil, err
	}
	return out, nil
}

// gathering is what the workers share.
type gathering struct {
	mu   sync.Mutex
	pass *pass
	each func(*entry) error
}

// of reads the members of one group. Whether Okta lists deactivated ones among them is
// not documented: they are taken as they come, and are disabled by their own status.
func (m *gathering) of(ctx context.Context, g *entry) ([]string, error) {
	var refs []string
	p := m.pass
	err := p.api.pages(ctx, members, membersRef(g.id, p.set.pageSize), func(page []json.RawMessage, h http.Header) error {
		entries, err := parseAll(page)
		if err != nil {
			return err
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if err := context.Cause(ctx); err != nil {
			return err // another group failed: nothing more is handed on
		}
		p.date(h)
		if m.each != nil {
			if err := p.resolve(entries); err != nil {
				return err
			}
		}
		for _, e := range entries {
			ref, err := p.set.ref(e)
			if err != nil {
				return err
			}
			refs = append(refs, p.once(ref))
			if m.each != nil {
				if err := m.each(e); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if fault.KindOf(err) == fault.NotFound && !errors.Is(err, context.Canceled) {
		m.mu.Lock()
		defer m.mu.Unlock()
		p.incomplete("the group %q went while it was read", g.text("name"))
		return nil, nil
	}
	slices.Sort(refs)
	return slices.Compact(refs), err
}

// once gives one text for all that are equal: a person is a member of many groups.
func (p *pass) once(ref string) string {
	if same, ok := p.refs[ref]; ok {
		return same
	}
	ref = strings.Clone(ref)
	p.refs[ref] = ref
	return ref
}
