// Package provisioning is the part of the console about connections that identity
// providers push to (SCIM): where they push to, what they sign in with, what to click
// on their side, and what they asked for last. It shows secrets once.
package provisioning

import (
	"embed"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
	"rollcall.dev/rollcall/internal/endpoint/console/signed"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/admins"
	"rollcall.dev/rollcall/internal/store/pushers"
)

//go:embed *.html
var templates embed.FS

type section struct {
	admins *admins.Admins
	public string
}

// Section is this part of the console; the administrators' tables say whether a
// password was given lately: who has a token writes the organization's people.
func Section(a *admins.Admins, publicURL string) shell.Section {
	s := section{a, publicURL}
	// Its pages stand among those of connections.
	return shell.Section{Name: "connections", Templates: templates, Routes: []shell.Route{
		{Pattern: "GET /connections/{alias}/provisioning", Handle: s.show},
		{Pattern: "POST /connections/{alias}/provisioning/{what}", Need: shell.Changer, Handle: s.act},
		{Pattern: "GET /connections/{alias}/provisioning/test", Handle: s.test},
		{Pattern: "GET /connections/{alias}/provisioning/log", Handle: log},
		{Pattern: "GET /connections/{alias}/provisioning/log/{id}", Handle: one},
		// The same for who came by a set-up link to one.
		{Pattern: "GET " + ofGuest, Guest: true, Handle: s.show},
		{Pattern: "POST " + ofGuest + "/{what}", Need: shell.Changer, Guest: true, Handle: s.act},
		{Pattern: "GET " + ofGuest + "/test", Guest: true, Handle: s.test},
		{Pattern: "GET " + ofGuest + "/log", Guest: true, Handle: log},
		{Pattern: "GET " + ofGuest + "/log/{id}", Guest: true, Handle: one},
	}}
}

const ofGuest = "/setup/provisioning"

// Place is whose pages these are, and where.
type Place struct {
	Alias string
	Base  string // the address of the section
	Guest bool
}

// placeOf is for routes of both. Whoever is no guest has no connection of their own.
func placeOf(q *shell.Ask) (Place, error) {
	alias := q.R.PathValue("alias")
	switch {
	case alias != "":
		return Place{Alias: alias, Base: shell.Path("connections", alias, "provisioning")}, nil
	case q.Me.Connection != "":
		return Place{Alias: q.Me.Connection, Base: ofGuest, Guest: true}, nil
	}
	return Place{}, fault.New(fault.NotFound, "there is no such page").WithHint("it is for who came by a set-up link")
}

// token is one with how it stands.
type token struct {
	client.PushToken
	State string // "active", "ending", "expired" or "revoked"
}

func stateOf(t client.PushToken, now time.Time) string {
	switch {
	case t.RevokedAt != nil:
		return "revoked"
	case !t.Valid(now):
		return "expired"
	case t.ReplacedAt != nil:
		return "ending"
	}
	return "active"
}

type page struct {
	Place
	TenantURL string
	TokenURL  string
	ClientID  string
	Tokens    []token
	Bearer    bool // there is a valid token of the kind
	OAuth     bool
	Last      *heard
	Kind      string // what was asked for
	Trouble   *shell.Trouble
}

// heard is what a client asked for, in words.
type heard struct {
	client.Exchange
	Who    string
	Since  string // "3 s"
	Lasted string // "12 ms"
	Advice string // what to do about it
}

// since is a time that has passed, as people say it: whole seconds, then more and more
// roughly.
func since(d time.Duration) string {
	if d < time.Minute {
		return strconv.Itoa(int(max(0, d)/time.Second)) + " s"
	}
	return shell.Length(d.Truncate(time.Second))
}

// lasted is how long an answer took, where a millisecond is much.
func lasted(d time.Duration) string {
	if d < 10*time.Millisecond {
		return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 1, 64) + " ms"
	}
	return shell.Length(d)
}

// hear tells of an exchange.
func hear(e client.Exchange, now time.Time) *heard {
	h := &heard{Exchange: e, Who: "A client without a name", Lasted: lasted(time.Duration(e.Took) * time.Microsecond), Since: since(now.Sub(e.At))}
	if e.Client != "" {
		h.Who = e.Client
	}
	switch {
	case e.Status == http.StatusUnauthorized:
		h.Advice = "What it signed in with is not valid here. Make another token, and put it into the identity provider's form as it is, without “Bearer” in front of it."
	case e.Status == http.StatusTooManyRequests:
		h.Advice = "It asked more often than the connection's settings let it. It comes again by itself."
	case e.Status >= http.StatusInternalServerError:
		h.Advice = "Something went wrong here, not on its side. The server's log says what."
	case e.Status >= http.StatusBadRequest && e.Status != http.StatusNotFound:
		h.Advice = "It was told what is wrong with what it asked for: the answer says what."
	}
	return h
}

func (s section) show(q *shell.Ask) error { return s.answer(q, nil) }

func (s section) answer(q *shell.Ask, trouble *shell.Trouble) error {
	place, err := placeOf(q)
	if err != nil {
		return err
	}
	alias := place.Alias
	found, err := q.API.PushTokens(q.R.Context(), alias)
	if err != nil {
		return err
	}
	p := page{Place: place, TenantURL: pushers.TenantURL(s.public, alias), TokenURL: pushers.TokenURL(s.public, alias), Trouble: trouble, Kind: q.R.PostFormValue("kind")}
	for _, t := range found {
		p.Tokens = append(p.Tokens, token{t, stateOf(t, q.Now())})
		p.Bearer = p.Bearer || t.Kind == "bearer" && t.Valid(q.Now())
		p.OAuth = p.OAuth || t.Kind == "oauth" && t.Valid(q.Now())
		if t.ClientID != nil && t.Valid(q.Now()) {
			p.ClientID = *t.ClientID
		}
	}
	last, err := newest(q, alias)
	if err != nil {
		return err
	}
	if last != nil {
		p.Last = hear(*last, q.Now())
	}
	if trouble != nil {
		return q.Refused("provisioning", "Provisioning of "+alias, p)
	}
	return q.Page("provisioning", "Provisioning of "+alias, p)
}

// newest is the last request; nil where none came yet.
func newest(q *shell.Ask, alias string) (*client.Exchange, error) {
	found, err := q.API.ExchangePage(q.R.Context(), alias, client.ExchangeQuery{}, client.Piece{Limit: 1})
	if err != nil || len(found.Items) == 0 {
		return nil, err
	}
	return &found.Items[0], nil
}

// days are the lives to choose from.
var days = map[string]time.Duration{"90": 90 * 24 * time.Hour, "180": 180 * 24 * time.Hour, "365": 365 * 24 * time.Hour, "730": 730 * 24 * time.Hour}

// made is the page that shows a secret, once.
type made struct {
	Place
	Token   client.NewPushToken
	Again   bool // it takes the place of another
	Overlap string
}

// act does what a button of the page says.
func (s section) act(q *shell.Ask) error {
	place, err := placeOf(q)
	if err != nil {
		return err
	}
	// A guest has no password that could be asked for: the link is what they have.
	if !place.Guest {
		if in, err := signed.Fresh(q, s.admins, place.Base); err != nil || in == nil {
			return err
		}
	}
	ctx, alias := q.R.Context(), place.Alias
	kind := q.R.PostFormValue("kind")
	switch q.R.PathValue("what") {
	case "token":
		wanted := client.PushTokenInput{Name: strings.TrimSpace(q.R.PostFormValue("name")), Kind: kind, NoExpiry: q.R.PostFormValue("days") == "never"}
		if life, ok := days[q.R.PostFormValue("days")]; ok {
			ends := q.Now().Add(life).UTC().Truncate(time.Second)
			wanted.ExpiresAt = &ends
		}
		t, err := q.API.CreatePushToken(ctx, alias, wanted)
		if err != nil {
			return s.answer(q, q.Problem(err))
		}
		return q.Page("made", "The token", made{Place: place, Token: t})
	case "rotate":
		hours, err := strconv.Atoi(q.R.PostFormValue("overlap"))
		if err != nil || hours < 0 || hours > 720 {
			return s.answer(q, q.Problem(fault.New(fault.Invalid, "how long the old one stays good is hours, 720 at the most")))
		}
		seconds := hours * 3600
		t, err := q.API.RotatePushToken(ctx, alias, client.PushRotateInput{Kind: kind, OverlapSeconds: &seconds})
		if err != nil {
			return s.answer(q, q.Problem(err))
		}
		m := made{Place: place, Token: t, Again: true}
		if hours > 0 {
			m.Overlap = shell.Count(hours, "hour", "hours")
		}
		return q.Page("made", "The token", m)
	case "revoke":
		if _, err := q.API.RevokePushToken(ctx, alias, q.R.PostFormValue("id")); err != nil {
			return s.answer(q, q.Problem(err))
		}
		q.Say(place.Base, "The token is good for nothing any more.")
		return nil
	}
	http.NotFound(q.W, q.R)
	return nil
}

// testPage waits for the next request, as long as somebody looks at it.
type testPage struct {
	Place
	TenantURL string
	Waiting   bool
	GaveUp    bool
	After     int64 // waits for one behind this
	Last      *heard
}

const (
	lookEvery = "3" // seconds; the browser comes again by itself, scripts or not
	mostLooks = 100
)

func (s section) test(q *shell.Ask) error {
	place, err := placeOf(q)
	if err != nil {
		return err
	}
	alias, sent := place.Alias, q.R.URL.Query()
	last, err := newest(q, alias)
	if err != nil {
		return err
	}
	p := testPage{Place: place, TenantURL: pushers.TenantURL(s.public, alias)}
	after, err := strconv.ParseInt(sent.Get("after"), 10, 64)
	p.Waiting = err == nil || last == nil
	looks, _ := strconv.Atoi(sent.Get("looks")) // 0 where it is none
	if last != nil {
		p.Last, p.After = hear(*last, q.Now()), last.ID
		if last.ID > after {
			p.Waiting = p.Waiting && err != nil
		}
	}
	if p.Waiting && looks >= mostLooks {
		p.Waiting, p.GaveUp = false, true
	}
	if p.Waiting {
		q.W.Header().Set("Refresh", lookEvery+"; url="+place.Base+"/test?after="+strconv.FormatInt(p.After, 10)+"&looks="+strconv.Itoa(looks+1))
	}
	return q.Page("test", "Test of "+alias, p)
}

type logPage struct {
	Place
	Items  []*heard
	Next   *string
	Failed bool
}

func log(q *shell.Ask) error {
	place, err := placeOf(q)
	if err != nil {
		return err
	}
	p := logPage{Place: place, Failed: q.R.URL.Query().Get("failed") != ""}
	found, err := q.API.ExchangePage(q.R.Context(), place.Alias, client.ExchangeQuery{Failed: p.Failed}, client.Piece{Limit: 50, Cursor: q.R.URL.Query().Get("cursor")})
	if err != nil {
		return err
	}
	for _, e := range found.Items {
		p.Items = append(p.Items, hear(e, q.Now()))
	}
	p.Next = found.NextCursor
	return q.Page("log", "Requests to "+place.Alias, p)
}

type onePage struct {
	*heard
	Place
	Request, Answer string
	Parameters      []string
}

func one(q *shell.Ask) error {
	place, err := placeOf(q)
	if err != nil {
		return err
	}
	id, err := strconv.ParseInt(q.R.PathValue("id"), 10, 64)
	if err != nil {
		return fault.New(fault.NotFound, "there is no request %q", q.R.PathValue("id"))
	}
	e, err := q.API.Exchange(q.R.Context(), place.Alias, id)
	if err != nil {
		return err
	}
	p := onePage{heard: hear(e, q.Now()), Place: place, Request: spread(e.Request), Answer: spread(e.Answer)}
	p.Parameters = slices.DeleteFunc(strings.Split(e.Query, "&"), func(s string) bool { return s == "" })
	return q.Page("one", e.Method+" "+e.Path, p)
}
