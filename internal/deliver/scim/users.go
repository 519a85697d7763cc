package scim

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/account"
	protocol "rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/store/targets"
)

// errGone says that a link is of no use any more: it is not there, and not wanted.
var errGone = errors.New("gone")

// wants reports whether what a connection keeps is pushed to a target.
func (c *clientOf) wants(connection string) bool {
	list := c.turn.Target.Connections
	return len(list) == 0 || slices.Contains(list, connection)
}

// user brings one account in step. a is nil where the account is purged.
func (p *pass) user(ctx context.Context, l *targets.Link, a *account.Account, manager string) error {
	leaver := a == nil || a.Status == account.Deleted || !p.wants(a.Connection)
	want := protocol.Object{"active": false}
	switch {
	case l.Remote == "" && (leaver || a.Status != account.Active):
		return errGone // who was never there is not brought there to be disabled
	case leaver && p.turn.Target.Leavers == targets.Delete:
		_, err := p.do(ctx, http.MethodDelete, at("Users", l.Remote), nil, nil, "")
		if err == nil || refused(err, http.StatusNotFound, http.StatusGone) {
			return errGone
		}
		return err
	case !leaver:
		want = person(a, manager)
	}
	sum := digest(want)
	if l.Remote != "" && bytes.Equal(sum, l.Sent) {
		return nil
	}
	// Once more where it is not there any more, or was made by somebody else meanwhile.
	for again := 0; ; again++ {
		var is *answer
		var err error
		if l.Remote == "" {
			is, err = p.begin(ctx, l, "Users", "userName", want)
		}
		if err == nil && is == nil {
			is, err = p.update(ctx, l, want)
		}
		if refused(err, http.StatusNotFound, http.StatusGone) && again == 0 {
			l.Remote, l.ETag, l.Sent, l.Seen = "", "", nil, nil
			if leaver {
				return errGone
			}
			continue
		}
		if err != nil {
			return err
		}
		l.ETag, l.Sent, l.Seen = is.etag, sum, digest(mine(read(protocol.User, is.body)))
		return nil
	}
}

// begin looks for what is not linked yet, and makes it where it is not there. The
// answer is nil for what was found, which is yet to be brought in step.
func (p *pass) begin(ctx context.Context, l *targets.Link, kind, name string, want protocol.Object) (*answer, error) {
	found, err := p.adopt(ctx, l, kind, name, want)
	if err != nil || found {
		return nil, err
	}
	schema := protocol.UserSchema
	if kind == "Groups" {
		schema = protocol.GroupSchema
	}
	body := protocol.Object{"schemas": []any{schema}}
	for k, v := range want {
		body[k] = v
	}
	if _, ok := want[protocol.EnterpriseSchema]; ok {
		body["schemas"] = []any{schema, protocol.EnterpriseSchema}
	}
	is, err := p.do(ctx, http.MethodPost, kind, nil, body, "")
	if refused(err, http.StatusConflict) {
		found, ferr := p.adopt(ctx, l, kind, name, want)
		if ferr != nil || found {
			return nil, ferr
		}
		return nil, err // it is taken, and cannot be found
	}
	if refused(err, http.StatusNotFound, http.StatusMethodNotAllowed) {
		return nil, &standstill{why: "there is no /" + kind + " at its address: " + err.Error()}
	}
	if err != nil {
		return nil, err
	}
	id := idOf(is.body)
	if id == "" && is.at != "" {
		if u, err := url.Parse(is.at); err == nil {
			id = idOf(protocol.Object{"id": path.Base(u.Path)})
		}
	}
	if id == "" {
		return nil, &refusal{status: http.StatusCreated, detail: "it was made, but its answer does not say under which identifier"}
	}
	if l.Remote = id; len(is.body) == 0 {
		return p.do(ctx, http.MethodGet, at(kind, id), nil, nil, "")
	}
	return is, nil
}

// adopt looks for somebody of the same name, then for who has our identifier. What an
// application answers is looked at again: some pass over filters they do not know,
// and answer with everybody.
func (p *pass) adopt(ctx context.Context, l *targets.Link, kind, name string, want protocol.Object) (bool, error) {
	text, _ := want[name].(string)
	external, _ := want["externalId"].(string)
	for _, by := range []struct {
		attribute, value string
		same             func(a, b string) bool
	}{{name, text, strings.EqualFold}, {"externalId", external, func(a, b string) bool { return a == b }}} {
		list, err := p.find(ctx, kind, by.attribute, by.value)
		if err != nil {
			return false, err
		}
		for _, o := range list {
			if has, ok := o[by.attribute].(string); !ok || !by.same(has, by.value) {
				continue
			}
			taken, err := p.worker.Targets.Taken(ctx, p.turn, l, idOf(o))
			if err != nil {
				return false, err
			}
			if taken {
				if kind == "Groups" {
					continue // groups may share a name
				}
				return false, &refusal{status: http.StatusConflict, kind: protocol.Uniqueness, detail: "the one of this name there is that of another account here"}
			}
			l.Remote = idOf(o)
			return true, nil
		}
	}
	return false, nil
}

// update makes a user that is there what is wanted, by as little as that takes.
func (p *pass) update(ctx context.Context, l *targets.Link, want protocol.Object) (*answer, error) {
	there := at("Users", l.Remote)
	is, err := p.do(ctx, http.MethodGet, there, nil, nil, "")
	if err != nil {
		return nil, err
	}
	has := read(protocol.User, is.body)
	then := over(has, want)
	ops := operations(has, then)
	if len(ops) == 0 {
		return is, nil
	}
	return p.change(ctx, there, is, ops, then)
}

// change changes a resource: by PATCH where the application can do that, else by PUT.
func (p *pass) change(ctx context.Context, there string, is *answer, ops []any, then protocol.Object) (*answer, error) {
	can, err := p.config(ctx)
	if err != nil {
		return nil, err
	}
	etag := ""
	if can.etag {
		etag = is.etag
	}
	var done *answer
	if can.patch {
		done, err = p.do(ctx, http.MethodPatch, there, nil, protocol.Object{"schemas": []any{protocol.PatchMessage}, "Operations": ops}, etag)
		if refused(err, http.StatusMethodNotAllowed, http.StatusNotImplemented) {
			can.patch = false
			p.remember(can)
		}
	}
	if !can.patch {
		then["id"] = is.body["id"]
		if then[protocol.EnterpriseSchema] != nil {
			then["schemas"] = []any{protocol.UserSchema, protocol.EnterpriseSchema}
		}
		done, err = p.do(ctx, http.MethodPut, there, nil, then, etag)
	}
	if err != nil {
		return nil, err
	}
	if len(done.body) == 0 {
		return p.do(ctx, http.MethodGet, there, nil, nil, "")
	}
	return done, nil
}
