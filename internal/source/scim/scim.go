// Package scim reads the directory that SCIM clients push: what Entra ID, Okta and
// others sent to a connection's address, as it is kept here. It hands records on to
// the mirror, with attributes under the names an administrator would write.
//
// A whole example:
//
//	backend:
//	  scim:
//	    username_is_email: true
//
// turns
//
//	{"userName": "jane@example.org", "name": {"givenName": "Jane"}, "active": true,
//	 "emails": [{"type": "work", "primary": true, "value": "jane@example.org"}],
//	 "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "Law"}}
//
// into a record whose ID and Ref are those of the resource, named by its userName, with
// the attributes active, department, emails, emails.work, name.givenName and userName.
// Those who push tell of every change: a reading of changes misses none, and whatever
// is read is complete.
package scim

import (
	"context"
	"encoding/json"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// Kind is inbound SCIM as a kind of directory.
var Kind = source.Kind{
	Name:    "scim",
	Title:   "SCIM (inbound push)",
	Options: options,
	Open:    open,
	Refer:   func(ref string) string { return ref },
	Pushes:  true,
}

var options = append([]setting.Option{
	{Name: "username_is_email", Type: setting.Bool, Label: "User name is e-mail", Help: "Keeps userName and the work e-mail address the same: whichever of them a client changes, the other follows."},
	{Name: "rate", Type: setting.Int, Label: "Requests a second", Help: "How many requests a second are taken of this connection's clients; more are asked to come again (429). Entra ID needs 25.", Default: "50", Advanced: true},
	{Name: "burst", Type: setting.Int, Label: "Requests at once", Help: "How many more may come at once after a silence.", Default: "100", Advanced: true},
	{Name: "log", Label: "Log of requests", Help: "What is kept of the contents of requests: with masked, of values of people their first letter; with full, everything; with off, nothing. Secrets are never kept.", Default: "masked", Choices: []string{"masked", "full", "off"}, Advanced: true},
}, source.ProviderOptions()...)

// inbox is one opened connection's directory.
type inbox struct{ pushed source.Pushed }

func open(v setting.Values, env source.Env) (source.Source, error) {
	if err := setting.Defaults(options, v); err != nil {
		return nil, err
	}
	for _, name := range []string{"rate", "burst"} {
		if v.Int(name) < 1 {
			return nil, fault.New(fault.Invalid, "scim: %s must be 1 or more", name).WithHint("Entra ID wants 25 requests a second to be taken")
		}
	}
	if _, err := source.ProviderOf(v); err != nil {
		return nil, err
	}
	if env.Pushed == nil {
		return nil, fault.New(fault.Invalid, "scim: there is no database that keeps what is pushed here")
	}
	return &inbox{env.Pushed}, nil
}

// Close has nothing to let go of.
func (*inbox) Close() error { return nil }

// Preset is the same for all clients.
func (*inbox) Preset(context.Context) (source.Preset, error) {
	return source.Preset{Vendor: "SCIM", Anchor: "id", Mapping: mapping()}, nil
}

// mapping is the starting mapping. Entra and Okta fill these attributes as they come.
func mapping() map[string]setting.Rule {
	return map[string]setting.Rule{
		"username":     {Attribute: "userName"},
		"email":        {Expr: `firstOf(attr("emails.work"), emails, userName contains "@" ? first(userName) : "")`},
		"first_name":   {Attribute: "name.givenName"},
		"last_name":    {Attribute: "name.familyName"},
		"display_name": {Expr: `firstOf(displayName, attr("name.formatted"))`},
		"mobile_phone": {Attribute: "phoneNumbers.mobile"},
		"phone":        {Attribute: "phoneNumbers.work"},
		"language":     {Expr: "firstOf(preferredLanguage, locale)"},
		"title":        {Attribute: "title"},
		"department":   {Attribute: "department"},
		"location":     {Expr: `firstOf(attr("addresses.work.locality"), attr("addresses.locality"))`},
		"manager":      {Attribute: "manager"},
		"status":       {Attribute: "active"},
	}
}

// bookmark is how far a reading came.
type bookmark struct {
	Epoch string `json:"epoch"`
	Mark  int64  `json:"mark"`
}

// Read reports what was pushed since the bookmark, or everything there is.
func (in *inbox) Read(ctx context.Context, req source.Request, emit func(*directory.Record) error) (source.Reading, error) {
	state, err := in.pushed.State(ctx)
	if err != nil {
		return source.Reading{}, err
	}
	out := source.Reading{Complete: true, Full: true}
	after := int64(0)
	if req.From != nil {
		var note string
		if after, note = since(req.From, state); note == "" {
			out.Full, out.Method = false, "push"
		} else {
			out.Notes = append(out.Notes, note)
			if err := req.Anew(); err != nil {
				return source.Reading{}, err
			}
		}
	}
	if out.Next, err = json.Marshal(bookmark{state.Epoch, state.Mark}); err != nil {
		return source.Reading{}, err
	}
	if !out.Full && after == state.Mark {
		return out, nil
	}
	for _, t := range []scim.Type{scim.User, scim.Group} {
		count := &out.Users
		if t == scim.Group {
			count = &out.Groups
		}
		err := in.pushed.Each(ctx, t, after, func(e *source.PushedEntry) error {
			*count++
			if req.Progress != nil && (out.Users+out.Groups)%1000 == 0 {
				req.Progress(out.Users, out.Groups)
			}
			return emit(record(e))
		})
		if err != nil {
			return source.Reading{}, err
		}
	}
	return out, nil
}

// since gives the mark to begin after, or says why everything is read.
func since(from source.Cursor, state source.PushedState) (after int64, note string) {
	var at bookmark
	switch {
	case json.Unmarshal(from, &at) != nil || at.Epoch != state.Epoch || at.Mark > state.Mark:
		return 0, "Everything was read: the connection's resources were begun anew since the last reading."
	case at.Mark < state.Forgotten:
		return 0, "Everything was read: the last reading is so long ago that removals since are not known any more."
	case at.Mark == 0 && state.Mark > 0:
		return 0, "Everything was read: nothing was there at the last reading."
	}
	return at.Mark, ""
}

// Look implements source.Looker.
func (in *inbox) Look(ctx context.Context, who string, _ []string, emit func(*directory.Record) error) error {
	found, err := in.pushed.Named(ctx, who)
	if err != nil {
		return err
	}
	for _, e := range found {
		if err := emit(record(e)); err != nil {
			return err
		}
	}
	return nil
}

// Find implements source.Finder. Whatever was pushed is read.
func (in *inbox) Find(ctx context.Context, who string) ([]source.Found, error) {
	found, err := in.pushed.Named(ctx, who)
	var out []source.Found
	for _, e := range found {
		out = append(out, source.Found{Name: record(e).Name, Clauses: []source.Clause{{Name: "pushed", Holds: true, Detail: "a client pushed it as " + e.ID + "; the next run reads it"}}})
	}
	return out, err
}

// Check tells whether anything was pushed. What a client cannot do here it is told
// itself, and the log of requests keeps.
func (in *inbox) Check(ctx context.Context, report func(source.Step)) {
	start := time.Now()
	state, err := in.pushed.State(ctx)
	step := source.Step{Name: "pushes", Section: source.Address, Verdict: source.OK}
	if err != nil {
		step.Verdict, step.Detail, step.Hint, step.Took = source.Fail, err.Error(), fault.HintOf(err), time.Since(start)
		report(step)
		return
	}
	step.Took = time.Since(start)
	step.Proposal = &source.Proposal{Vendor: "SCIM", Anchor: "id", Mapping: mapping()}
	if state.ChangedAt.IsZero() {
		step.Verdict, step.Detail = source.Warn, "nothing was pushed yet"
		step.Hint = "give the client this connection's address and a token, and start provisioning there"
		report(step)
		return
	}
	step.Detail = "the last change came at " + state.ChangedAt.Format(time.DateTime) + " UTC"
	report(step)
	users := source.Step{Name: "people", Section: source.Users, Verdict: source.OK, Detail: source.Counted(state.Users, "person", "people")}
	if state.Users == 0 {
		users.Verdict, users.Hint = source.Warn, "assign people to the application on the client's side"
	}
	report(users.Counted(state.Users, nil))
	report(source.Step{Name: "groups", Section: source.Groups, Verdict: source.OK, Detail: source.Counted(state.Groups, "group", "groups")}.Counted(state.Groups, nil))
}
