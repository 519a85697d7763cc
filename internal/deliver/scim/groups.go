package scim

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/account"
	protocol "rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/store/targets"
)

// How many members one PATCH puts in, and takes out.
const (
	mostIn  = 500
	mostOut = 100
)

// lean leaves the members of groups out of answers.
var lean = url.Values{"excludedAttributes": {"members"}}

// group brings one group in step: its name, and the members who are there themselves.
func (p *pass) group(ctx context.Context, l *targets.Link) error {
	g, err := p.worker.Targets.Group(ctx, l.ID)
	if err != nil {
		return err
	}
	if g == nil || !p.turn.Target.Groups || !p.wants(g.Connection) {
		return p.endGroup(ctx, l)
	}
	want := protocol.Object{"displayName": g.Name, "externalId": g.ID.String()}
	for again := 0; ; again++ {
		err := p.bring(ctx, l, want)
		if !refused(err, http.StatusNotFound, http.StatusGone) || again > 0 || l.Remote == "" {
			return err
		}
		l.Remote, l.ETag, l.Sent, l.Seen = "", "", nil, nil // it is made anew
		_, told, err := p.worker.Targets.Members(ctx, p.turn, l.ID)
		if err == nil {
			err = p.worker.Targets.Told(ctx, p.turn, l.ID, nil, keys(told))
		}
		if err != nil {
			return err
		}
	}
}

func keys(m map[account.ID]string) []account.ID {
	out := make([]account.ID, 0, len(m))
	for id := range m {
		out = append(out, id)
	}
	slices.SortFunc(out, func(a, b account.ID) int { return bytes.Compare(a[:], b[:]) })
	return out
}

// endGroup is group for one that is not wanted there any more: it goes, or nobody is
// in it.
func (p *pass) endGroup(ctx context.Context, l *targets.Link) error {
	if l.Remote == "" {
		return errGone
	}
	if p.turn.Target.Leavers == targets.Delete {
		_, err := p.do(ctx, http.MethodDelete, at("Groups", l.Remote), nil, nil, "")
		if err == nil || refused(err, http.StatusNotFound, http.StatusGone) {
			return errGone
		}
		return err
	}
	_, told, err := p.worker.Targets.Members(ctx, p.turn, l.ID)
	if err != nil {
		return err
	}
	l.Sent = nil // should it come back, it is looked at as a whole
	err = p.move(ctx, l, nil, told, nil)
	if refused(err, http.StatusNotFound, http.StatusGone) {
		return errGone
	}
	return err
}

// bring makes or changes a group that is wanted.
func (p *pass) bring(ctx context.Context, l *targets.Link, want protocol.Object) error {
	sum := digest(want)
	fresh := false
	if l.Remote == "" {
		is, err := p.begin(ctx, l, "Groups", "displayName", want)
		if err != nil {
			return err
		}
		if fresh = is != nil; fresh {
			l.ETag, l.Sent, l.Seen = is.etag, sum, digest(named(is.body))
		}
	}
	in, told, err := p.worker.Targets.Members(ctx, p.turn, l.ID)
	if err != nil {
		return err
	}
	if fresh {
		return p.move(ctx, l, in, nil, want)
	}
	if l.Sent == nil { // it was there before, or has drifted: who is in it is seen there
		if told, err = p.seen(ctx, l, told); err != nil {
			return err
		}
	}
	if !bytes.Equal(sum, l.Sent) {
		is, err := p.rename(ctx, l, want)
		if err != nil {
			return err
		}
		l.ETag, l.Seen = is.etag, digest(named(is.body))
	}
	if err := p.move(ctx, l, in, told, want); err != nil {
		return err
	}
	l.Sent = sum
	return nil
}

// named is what of a group that an application has is ours, besides its members.
func named(o protocol.Object) protocol.Object {
	is := read(protocol.Group, o)
	return protocol.Object{"displayName": is["displayName"], "externalId": is["externalId"]}
}

func (p *pass) rename(ctx context.Context, l *targets.Link, want protocol.Object) (*answer, error) {
	there := at("Groups", l.Remote)
	is, err := p.do(ctx, http.MethodGet, there, lean, nil, "")
	if err != nil {
		return nil, err
	}
	can, err := p.config(ctx)
	if err != nil {
		return nil, err
	}
	has := named(is.body)
	var ops []any
	for _, name := range []string{"displayName", "externalId"} {
		if has[name] != want[name] {
			ops = append(ops, protocol.Object{"op": "replace", "path": name, "value": want[name]})
		}
	}
	if len(ops) == 0 || !can.patch { // without PATCH it is put with its members
		return is, nil
	}
	if _, err := p.do(ctx, http.MethodPatch, there, nil, patch(ops), ""); err != nil {
		return nil, err
	}
	return p.do(ctx, http.MethodGet, there, lean, nil, "")
}

func patch(ops []any) protocol.Object {
	return protocol.Object{"schemas": []any{protocol.PatchMessage}, "Operations": ops}
}

// seen reads who is in a group there, of those whom we know, and writes it down.
func (p *pass) seen(ctx context.Context, l *targets.Link, told map[account.ID]string) (map[account.ID]string, error) {
	is, err := p.do(ctx, http.MethodGet, at("Groups", l.Remote), nil, nil, "")
	if err != nil {
		return nil, err
	}
	known, err := p.worker.Targets.ByRemote(ctx, p.turn, "user")
	if err != nil {
		return nil, err
	}
	now := map[account.ID]string{}
	var in []targets.Member
	for _, remote := range membersOf(is.body) {
		if u := known[remote]; u != nil {
			now[u.ID] = remote
			in = append(in, targets.Member{Account: u.ID, Remote: remote})
		}
	}
	var out []account.ID
	for _, id := range keys(told) {
		if _, still := now[id]; !still {
			out = append(out, id)
		}
	}
	return now, p.worker.Targets.Told(ctx, p.turn, l.ID, in, out)
}

func membersOf(o protocol.Object) []string {
	list, _ := o["members"].([]any)
	out := make([]string, 0, len(list))
	for _, e := range list {
		m, _ := e.(protocol.Object)
		if id, ok := m["value"].(string); ok && id != "" {
			out = append(out, id)
		}
	}
	return out
}

// move takes out who is too many and puts in who is missing, a chunk at a time, each
// written down before the next. whole is what the group is besides, for those who
// cannot do PATCH.
func (p *pass) move(ctx context.Context, l *targets.Link, want, told map[account.ID]string, whole protocol.Object) error {
	var in, out []targets.Member
	for _, id := range keys(told) {
		if told[id] != want[id] { // also who was made anew: the one before may still be in it
			out = append(out, targets.Member{Account: id, Remote: told[id]})
		}
	}
	for _, id := range keys(want) {
		if told[id] != want[id] {
			in = append(in, targets.Member{Account: id, Remote: want[id]})
		}
	}
	can, err := p.config(ctx)
	if err != nil {
		return err
	}
	if !can.patch {
		return p.putGroup(ctx, l, in, out, whole)
	}
	for chunk := range slices.Chunk(out, mostOut) {
		ops := make([]any, len(chunk))
		for i, m := range chunk {
			f := protocol.Filter{Op: protocol.Eq, Path: protocol.Path{Attr: "value"}, Value: m.Remote}
			ops[i] = protocol.Object{"op": "remove", "path": protocol.Path{Attr: "members", Filter: &f}.String()}
		}
		if err := p.chunk(ctx, l, ops, nil, chunk); err != nil {
			return err
		}
	}
	for chunk := range slices.Chunk(in, mostIn) {
		members := make([]any, len(chunk))
		for i, m := range chunk {
			members[i] = protocol.Object{"value": m.Remote}
		}
		if err := p.chunk(ctx, l, []any{protocol.Object{"op": "add", "path": "members", "value": members}}, chunk, nil); err != nil {
			return err
		}
	}
	return nil
}

func (p *pass) chunk(ctx context.Context, l *targets.Link, ops []any, in, out []targets.Member) error {
	if err := p.keep(ctx); err != nil {
		return err
	}
	// Not with lean, although the answer is of no use: scimmy-routers then forgets the
	// members who are not in it.
	if _, err := p.do(ctx, http.MethodPatch, at("Groups", l.Remote), nil, patch(ops), ""); err != nil {
		return err
	}
	return p.worker.Targets.Told(ctx, p.turn, l.ID, in, accountsOf(out))
}

func accountsOf(list []targets.Member) []account.ID {
	out := make([]account.ID, len(list))
	for i, m := range list {
		out[i] = m.Account
	}
	return out
}

// putGroup is move by one PUT. Members that are not ours stay.
func (p *pass) putGroup(ctx context.Context, l *targets.Link, in, out []targets.Member, whole protocol.Object) error {
	where := at("Groups", l.Remote)
	is, err := p.do(ctx, http.MethodGet, where, nil, nil, "")
	if err != nil {
		return err
	}
	has := named(is.body)
	if len(in) == 0 && len(out) == 0 && (whole == nil || equal(has, whole)) {
		return nil
	}
	gone := map[string]bool{}
	for _, m := range out {
		gone[m.Remote] = true
	}
	members := []any{}
	there := map[string]bool{}
	for _, remote := range membersOf(is.body) {
		if !gone[remote] && !there[remote] {
			members, there[remote] = append(members, protocol.Object{"value": remote}), true
		}
	}
	for _, m := range in {
		if !there[m.Remote] {
			members, there[m.Remote] = append(members, protocol.Object{"value": m.Remote}), true
		}
	}
	body := protocol.Object{}
	for k, v := range is.body {
		if !strings.EqualFold(k, "meta") {
			body[k] = v
		}
	}
	for k, v := range whole {
		body[k] = v
	}
	body["members"] = members
	done, err := p.do(ctx, http.MethodPut, where, nil, body, "")
	if err != nil {
		return err
	}
	if whole != nil && len(done.body) > 0 {
		l.Seen = digest(named(done.body))
	}
	return p.worker.Targets.Told(ctx, p.turn, l.ID, in, accountsOf(out))
}
