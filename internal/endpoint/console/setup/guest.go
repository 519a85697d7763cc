package setup

import (
	"net/url"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/admins"
	"rollcall.dev/rollcall/internal/store/setups"
)

type doorPage struct {
	Link *setups.Link
	Kind string // "" for a connection there is
	As   string // who is signed in in this browser
}

// look finds the link of an address, whose token is nobody else's business.
func (s section) look(q *shell.Ask) (*setups.Link, error) {
	q.W.Header().Set("Referrer-Policy", "no-referrer")
	return s.Setups.Look(q.R.Context(), q.R.PathValue("token"))
}

// door is what a link leads to. Mail scanners open links: it uses nothing up.
func (s section) door(q *shell.Ask) error {
	l, err := s.look(q)
	me := q.Me
	q.Me = nil // whoever follows a link sees its page, whoever they are here
	if err != nil {
		return err
	}
	p := doorPage{Link: l}
	if me != nil {
		p.As = me.Email
	}
	for _, k := range s.Kinds {
		if k.Name == l.Kind {
			p.Kind = k.Title
		}
	}
	return q.Page("door", "Set up "+l.Connection, p)
}

func (s section) enter(q *shell.Ask) error {
	if _, err := s.look(q); err != nil {
		q.Me = nil
		return err
	}
	x, _, err := s.Setups.Enter(q.R.Context(), q.R.PathValue("token"), admins.From(q.R, s.Admins.TrustedProxies), q.R.UserAgent())
	if err != nil {
		q.Me = nil
		return err
	}
	q.Enter(x.Token, x.EndsAt)
	q.Redirect("/setup")
	return nil
}

// guest gives the link of who came by one; its pages are for nobody else.
func (s section) guest(q *shell.Ask) (*setups.Link, error) {
	if q.Me.Connection == "" {
		return nil, fault.New(fault.NotFound, "there is no such page").WithHint("it is for who came by a set-up link")
	}
	_, l, err := s.Setups.Check(q.R.Context(), q.Token())
	return l, err
}

type homePage struct {
	Link       *setups.Link
	Kind       string
	There      bool // the connection was made
	Connection client.Connection
	Takes      bool // files
	Pushes     bool // an identity provider sends it people
	Files      []client.Upload
	Plans      []client.Plan
	Check      *client.Check
	Trouble    *shell.Trouble
}

func (s section) home(q *shell.Ask) error { return s.answer(q, nil, nil) }

func (s section) answer(q *shell.Ask, check *client.Check, wrong error) error {
	l, err := s.guest(q)
	if err != nil {
		return err
	}
	p := homePage{Link: l, Kind: l.Kind, There: !l.MayMake(), Check: check, Trouble: q.Problem(wrong)}
	if p.There {
		if err := p.load(q); err != nil {
			return err
		}
	}
	for _, k := range s.Kinds {
		if k.Name == p.Kind {
			p.Kind, p.Pushes = k.Title, k.Pushes
		}
	}
	if wrong != nil {
		return q.Refused("home", "Set up "+l.Connection, p)
	}
	return q.Page("home", "Set up "+l.Connection, p)
}

func (p *homePage) load(q *shell.Ask) (err error) {
	ctx, alias := q.R.Context(), p.Link.Connection
	if p.Connection, err = q.API.Connection(ctx, alias); err != nil {
		return err
	}
	for name, settings := range p.Connection.Backend {
		p.Kind = name
		backend, _ := settings.(map[string]any)
		p.Takes = backend["upload"] == true
	}
	if p.Takes {
		files, err := client.Get[client.Page[client.Upload]](ctx, q.API, "/connections/"+url.PathEscape(alias)+"/files", nil)
		if err != nil {
			return err
		}
		p.Files = files.Items
	}
	plans, err := client.Get[client.Page[client.Plan]](ctx, q.API, "/plans", url.Values{"connection": {alias}, "limit": {"5"}})
	p.Plans = plans.Items
	return err
}

// act does what a button of the guest's page says.
func (s section) act(q *shell.Ask) error {
	l, err := s.guest(q)
	if err != nil {
		return err
	}
	ctx := q.R.Context()
	switch q.R.PathValue("what") {
	case "check":
		found, err := q.API.Check(ctx, l.Connection, nil)
		if err != nil {
			return s.answer(q, nil, err)
		}
		return s.answer(q, &found, nil)
	case "plan":
		p, err := q.API.MakePlan(ctx, l.Connection, client.SyncInput{}, nil)
		if err != nil {
			return s.answer(q, nil, err)
		}
		q.Redirect(shell.Path("setup", "plans", p.ID))
	case "file":
		file, head, err := q.R.FormFile("file")
		if err != nil {
			return s.answer(q, nil, fault.New(fault.Invalid, "no file was chosen"))
		}
		defer file.Close() //nolint:errcheck // only read
		if _, err := q.API.Upload(ctx, l.Connection, head.Filename, file); err != nil {
			return s.answer(q, nil, err)
		}
		q.Say("/setup", "The file was taken. Nothing happens by itself: see what it would do.")
	default:
		return fault.New(fault.NotFound, "there is no such page")
	}
	return nil
}

type planPage struct {
	Plan  client.Plan
	Rows  []shell.Change
	Notes []client.Note
	Next  string
}

func (s section) plan(q *shell.Ask) error {
	if _, err := s.guest(q); err != nil {
		return err
	}
	ctx, id := q.R.Context(), url.PathEscape(q.R.PathValue("id"))
	var p planPage
	var err error
	if p.Plan, err = client.Get[client.Plan](ctx, q.API, "/plans/"+id, url.Values{"changes": {"false"}}); err != nil {
		return err
	}
	if !p.Plan.Pruned {
		values := q.Values("cursor")
		values.Set("limit", "50")
		rows, err := client.Get[client.Page[client.Change]](ctx, q.API, "/plans/"+id+"/changes", values)
		if err != nil {
			return err
		}
		if p.Rows, err = shell.Changes(q, q.R.PathValue("id"), rows.Items, true); err != nil {
			return err
		}
		for _, c := range p.Rows {
			for i := range c.Fields {
				c.Fields[i].BeforePath, c.Fields[i].AfterPath = "", "" // those pages are not theirs
			}
		}
		if rows.NextCursor != nil {
			p.Next = *rows.NextCursor
		}
		notes, err := client.Get[client.Page[client.Note]](ctx, q.API, "/plans/"+id+"/notes", url.Values{"limit": {"20"}})
		if err != nil {
			return err
		}
		p.Notes = notes.Items
	}
	return q.Page("plan", "What would happen", p)
}
