package connections

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
)

type choosePage struct{ Kinds []source.Kind }

func (s section) choose(q *shell.Ask) error {
	return q.Page("choose", "New connection", choosePage{s.kinds})
}

// formPage is the form that makes or changes a connection.
type formPage struct {
	*form
	Kind          source.Kind
	New           bool
	Alias         string
	Organization  string
	Organizations []client.Organization
	Tested        string // the part whose test was asked for
	Mapped        []client.Step
	Proposal      *client.Proposal
	Preview       *client.Plan
	Previewed     bool
	Trouble       *shell.Trouble
}

func (s section) kind(name string) (source.Kind, error) {
	i := slices.IndexFunc(s.kinds, func(k source.Kind) bool { return k.Name == name })
	if i < 0 {
		return source.Kind{}, fault.New(fault.NotFound, "there is no source %q", name)
	}
	return s.kinds[i], nil
}

func (s section) blank(q *shell.Ask) (*formPage, error) {
	kind, err := s.kind(q.R.PathValue("kind"))
	if err != nil {
		return nil, err
	}
	p := &formPage{Kind: kind, New: true, Organization: q.Me.Organization}
	if q.Me.All() {
		list, err := client.Get[client.Page[client.Organization]](q.R.Context(), q.API, "/organizations", nil)
		if err != nil {
			return nil, err
		}
		p.Organizations = list.Items
	}
	p.form, err = newForm(kind, nil, q.Me.Operator())
	return p, err
}

func (s section) begin(q *shell.Ask) error {
	p, err := s.blank(q)
	if err != nil {
		return err
	}
	return q.Page("form", "New connection", p)
}

func (s section) create(q *shell.Ask) error {
	p, err := s.blank(q)
	if err != nil {
		return err
	}
	if err := q.R.ParseForm(); err != nil {
		return fault.New(fault.Invalid, "the form cannot be read: %w", err)
	}
	body := p.take(q.R.PostForm)
	p.Alias, p.Organization = strings.TrimSpace(q.R.PostFormValue("alias")), or(q.R.PostFormValue("organization"), q.Me.Organization)
	if p.Organization == "" && len(p.Organizations) == 1 {
		p.Organization = p.Organizations[0].ID
	}
	body["alias"], body["organization"] = p.Alias, p.Organization
	if test := q.R.PostFormValue("test"); test != "" {
		if p.Alias == "" {
			body["alias"] = "draft" // nothing is kept of it
		}
		return p.test(q, "", test, body)
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	made, err := q.API.CreateConnection(q.R.Context(), raw)
	if err != nil {
		return p.refuse(q, err)
	}
	if p.Kind.Pushes {
		q.Say(shell.Path("connections", made.Alias, "provisioning"), "The connection is made. Make a token, and give it to the identity provider with the address.")
		return nil
	}
	q.Say(shell.Path("connections", made.Alias), "The connection is made. Nothing was read yet: “Plan only” shows what would happen.")
	return nil
}

func (s section) load(q *shell.Ask) (*formPage, error) {
	c, err := q.API.Connection(q.R.Context(), q.R.PathValue("alias"))
	if err != nil {
		return nil, err
	}
	if c.Declared {
		return nil, fault.New(fault.Conflict, "connection %s stands in rollcall.yaml", c.Alias).WithHint("change it there")
	}
	p := &formPage{Alias: c.Alias, Organization: c.Organization}
	for name := range c.Backend {
		if p.Kind, err = s.kind(name); err != nil {
			return nil, err
		}
	}
	p.form, err = newForm(p.Kind, &c, q.Me.Operator())
	return p, err
}

func (s section) edit(q *shell.Ask) error {
	p, err := s.load(q)
	if err != nil {
		return err
	}
	return q.Page("form", "Change "+p.Alias, p)
}

func (s section) change(q *shell.Ask) error {
	p, err := s.load(q)
	if err != nil {
		return err
	}
	if err := q.R.ParseForm(); err != nil {
		return fault.New(fault.Invalid, "the form cannot be read: %w", err)
	}
	patch := p.take(q.R.PostForm)
	if test := q.R.PostFormValue("test"); test != "" {
		return p.test(q, p.Alias, test, patch)
	}
	raw, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	if q.R.PostFormValue("do") == "preview" {
		p.Previewed = true
		plan, err := q.API.Preview(q.R.Context(), p.Alias, raw, nil)
		if err != nil {
			return p.refuse(q, err)
		}
		p.Preview = &plan
		return q.Page("form", "Change "+p.Alias, p)
	}
	if _, err := q.API.UpdateConnection(q.R.Context(), p.Alias, raw); err != nil {
		return p.refuse(q, err)
	}
	q.Say(shell.Path("connections", p.Alias), "Saved.")
	return nil
}

// test goes to the directory with what stands in the form, and shows what was found
// about one part of it.
func (p *formPage) test(q *shell.Ask, alias, part string, body map[string]any) error {
	p.Tested = strings.TrimPrefix(part, "fill:")
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	found, err := q.API.CheckDraft(q.R.Context(), alias, raw, nil)
	if err != nil {
		return p.refuse(q, err)
	}
	p.tell(found.Steps)
	for _, s := range found.Steps {
		if s.Proposal != nil {
			p.Proposal = s.Proposal
		}
		if s.Section == "mapping" || s.Section == "match" {
			p.Mapped = append(p.Mapped, s)
		}
	}
	if p.Proposal != nil && strings.HasPrefix(part, "fill:") {
		p.fill(p.Proposal)
	}
	return q.Page("form", or(p.Alias, "New connection"), p)
}

func (p *formPage) refuse(q *shell.Ask, err error) error {
	p.Trouble = q.Problem(err)
	if p.Trouble.Status >= http.StatusInternalServerError && p.Trouble.Status != http.StatusServiceUnavailable {
		return err
	}
	p.blame(p.Trouble.Text)
	return q.Refused("form", or(p.Alias, "New connection"), p)
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
