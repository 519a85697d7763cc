package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// Settled is a connection as it is in force. One that agents read may do no more than
// their files allow, and where a file says what is read, the connection's own settings
// of its source are put aside.
func (e *Engine) Settled(ctx context.Context, c setting.Connection) (setting.Connection, error) {
	r, err := e.remote(ctx, c)
	if err != nil || r == nil {
		return c, err
	}
	for _, p := range r.Policies {
		c.Policy = c.Policy.Stricter(p)
	}
	backend := setting.Values{}
	maps.Copy(backend, c.Backend)
	if r.Own {
		c.Kind = r.Kind.Name
		provider := func(name string) bool { return strings.HasPrefix(name, "authentication.provider.") }
		maps.DeleteFunc(backend, func(name string, _ any) bool { return !provider(name) })
		c.Unset = slices.DeleteFunc(slices.Clone(c.Unset), func(u setting.Unset) bool { return !provider(u.Option.Name) })
		maps.Copy(backend, r.Shown)
	}
	if backend[source.RemoteBasis] = r.Basis; r.Own && r.Basis == "" {
		backend[source.RemoteBasis] = source.UnknownBasis
	}
	c.Backend = backend
	return c, nil
}

func (e *Engine) remote(ctx context.Context, c setting.Connection) (*source.Remote, error) {
	if e.Remotes == nil {
		return nil, nil
	}
	return e.Remotes(ctx, c)
}

// policyStep shows what the server, the agents and both together allow.
func (e *Engine) policyStep(ctx context.Context, given, settled setting.Connection) (source.Step, bool) {
	r, err := e.remote(ctx, given)
	if err != nil || r == nil {
		return source.Step{}, false
	}
	var theirs setting.Policy
	for _, p := range r.Policies {
		theirs = theirs.Stricter(p)
	}
	s := source.Step{Name: "policy", Section: source.Settings, Verdict: source.OK,
		Detail: fmt.Sprintf("the server: %s\nthe agents' files: %s\nin force, the stricter of both: %s", policyText(given.Policy), policyText(theirs), policyText(settled.Policy))}
	if len(r.Policies) == 0 {
		s.Verdict, s.Detail = source.Warn, "no agent has been connected yet, so what their files allow is not known"
	}
	return s, true
}

func policyText(p setting.Policy) string {
	var on []string
	for _, k := range []struct {
		name string
		on   bool
	}{{"dry-run", p.DryRun}, {"no-create", p.NoCreate}, {"no-update", p.NoUpdate}, {"no-delete", p.NoDelete}, {"delete-disables", p.DeleteDisables},
		{"create-as-disabled", p.CreateAsDisabled}, {"no-update-provider-mismatch", p.NoUpdateProviderMismatch}} {
		if k.on {
			on = append(on, k.name)
		}
	}
	if len(on) == 0 {
		return "forbids nothing"
	}
	return strings.Join(on, ", ")
}
