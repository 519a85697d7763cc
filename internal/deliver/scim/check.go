package scim

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/fault"
	protocol "rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/store/targets"
)

const (
	mostDrift = 1000 // that is shown; all of it is counted, and repaired
	page      = 100
)

// Check compares everything an application has with what was pushed there, and
// changes nothing. What was changed to the same thing is the same; what was never
// pushed is not ours, and only counted.
func (w *Worker) Check(ctx context.Context, asks, target string) (*client.TargetReport, error) {
	r, _, err := w.check(ctx, asks, target)
	return r, err
}

// Repair is Check, and has what is missing or different pushed again.
func (w *Worker) Repair(ctx context.Context, asks, target, actor string) (*client.TargetReport, error) {
	r, all, err := w.check(ctx, asks, target)
	if err != nil {
		return nil, err
	}
	r.Marked, err = w.Targets.Repair(ctx, asks, target, all, actor)
	return r, err
}

func (w *Worker) check(ctx context.Context, asks, target string) (*client.TargetReport, []client.Drift, error) {
	turn, err := w.Targets.Open(ctx, asks, target)
	if err != nil {
		return nil, nil, err
	}
	p := &pass{clientOf: w.client(turn), worker: w, kept: w.Now()}
	r := &client.TargetReport{Drift: []client.Drift{}}
	users, err := w.Targets.ByRemote(ctx, turn, "user")
	if err != nil {
		return nil, nil, err
	}
	var all []client.Drift
	err = p.compare(ctx, "Users", "user", users, &r.Users, &all, func(_ context.Context, l *targets.Link, o protocol.Object) (bool, error) {
		return l.Seen == nil || bytes.Equal(l.Seen, digest(mine(read(protocol.User, o)))), nil
	})
	if err == nil && turn.Target.Groups {
		var groups map[string]*targets.Link
		if groups, err = w.Targets.ByRemote(ctx, turn, "group"); err == nil {
			err = p.compare(ctx, "Groups", "group", groups, &r.Groups, &all, func(ctx context.Context, l *targets.Link, o protocol.Object) (bool, error) {
				if l.Seen != nil && !bytes.Equal(l.Seen, digest(named(o))) {
					return false, nil
				}
				return p.sameMembers(ctx, l, o, users)
			})
		}
	}
	if err != nil {
		return nil, nil, fault.New(fault.Unavailable, "target %s: %w", target, err).WithHint("nothing was changed; see whether the application answers, and knows the secret")
	}
	r.Drift = append(r.Drift, all[:min(len(all), mostDrift)]...)
	return r, all, nil
}

// sameMembers compares who is in a group there with whom we put there; those we do
// not know do not count.
func (p *pass) sameMembers(ctx context.Context, l *targets.Link, o protocol.Object, users map[string]*targets.Link) (bool, error) {
	_, told, err := p.worker.Targets.Members(ctx, p.turn, l.ID)
	if err != nil {
		return false, err
	}
	if o["members"] == nil && len(told) > 0 { // some leave them out of lists
		a, err := p.do(ctx, http.MethodGet, at("Groups", l.Remote), nil, nil, "")
		if err != nil {
			return false, err
		}
		o = a.body
	}
	there := map[account.ID]bool{}
	for _, remote := range membersOf(o) {
		if u := users[remote]; u != nil {
			there[u.ID] = true
		}
	}
	for id := range told {
		if !there[id] {
			return false, nil
		}
	}
	return len(there) == len(told), nil
}

// compare goes through all resources of a kind.
func (p *pass) compare(ctx context.Context, kind, of string, links map[string]*targets.Link, n *client.TargetCounts, all *[]client.Drift,
	same func(context.Context, *targets.Link, protocol.Object) (bool, error)) error {
	met := map[string]bool{}
	note := func(l *targets.Link, remote, name, problem string) {
		d := client.Drift{Kind: of, RemoteID: remote, Name: name, Problem: problem}
		if l != nil {
			id := l.ID.String()
			d.ID = &id
		}
		*all = append(*all, d)
	}
	err := p.pages(ctx, kind, func(o protocol.Object) error {
		id := idOf(o)
		if met[id] {
			return nil
		}
		met[id] = true
		name, _ := o["userName"].(string)
		if of == "group" {
			name, _ = o["displayName"].(string)
		}
		l := links[id]
		if l == nil {
			n.Unknown++
			note(nil, id, name, "unknown")
			return nil
		}
		is, err := same(ctx, l, o)
		if err != nil {
			return err
		}
		if is {
			n.Same++
			return nil
		}
		n.Different++
		note(l, id, name, "different")
		return nil
	})
	if err != nil {
		return err
	}
	var missing []string
	for remote := range links {
		if !met[remote] {
			missing = append(missing, remote)
		}
	}
	slices.Sort(missing)
	for _, remote := range missing {
		n.Missing++
		note(links[remote], remote, "", "missing")
	}
	return nil
}

// pages goes through all resources of a kind. It believes the resources that come, and
// neither itemsPerPage nor a page that has nothing new. A list that ends before the
// number of all that was told is an error: what it leaves out would look as if it
// were missing.
func (p *pass) pages(ctx context.Context, kind string, fn func(protocol.Object) error) error {
	met := map[string]bool{}
	for start := 1; ; {
		a, err := p.do(ctx, http.MethodGet, kind, url.Values{"startIndex": {strconv.Itoa(start)}, "count": {strconv.Itoa(page)}}, nil, "")
		if err != nil {
			return err
		}
		list := resources(a.body)
		fresh := 0
		for _, o := range list {
			if !met[idOf(o)] {
				met[idOf(o)] = true
				fresh++
			}
			if err := fn(o); err != nil {
				return err
			}
		}
		total, known := number(a.body["totalResults"])
		switch {
		case fresh == 0 && known && len(met) < total:
			return &refusal{status: http.StatusOK, detail: "it tells of " + strconv.Itoa(total) + " " + kind + ", and lists " + strconv.Itoa(len(met))}
		case fresh == 0, known && len(met) >= total:
			return nil
		}
		start += len(list)
	}
}

func number(v any) (int, bool) {
	n, ok := v.(interface{ Int64() (int64, error) })
	if !ok {
		return 0, false
	}
	i, err := n.Int64()
	return int(i), err == nil
}
