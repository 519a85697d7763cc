// Package clients is the part of the console about applications that people sign in
// to: which there are, registering one, changing it, and its secret, shown once.
package clients

import (
	"embed"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
	"rollcall.dev/rollcall/internal/endpoint/console/signed"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/admins"
)

//go:embed *.html
var templates embed.FS

type section struct {
	admins *admins.Admins
	issuer string
}

// Section is this part of the console; the administrators' tables say whether a
// password was given lately: who registers an address gets what people sign in with.
func Section(a *admins.Admins, publicURL string) shell.Section {
	s := section{a, publicURL}
	return shell.Section{Name: "clients", Templates: templates, Routes: []shell.Route{
		{Pattern: "GET /clients", Handle: s.list},
		{Pattern: "GET /new-client", Need: shell.Changer, Handle: s.blank},
		{Pattern: "POST /new-client", Need: shell.Changer, Handle: s.create},
		{Pattern: "GET /clients/{id}", Handle: s.show},
		{Pattern: "GET /clients/{id}/edit", Need: shell.Changer, Handle: s.edit},
		{Pattern: "POST /clients/{id}/edit", Need: shell.Changer, Handle: s.change},
		{Pattern: "POST /clients/{id}/{what}", Need: shell.Changer, Handle: s.act},
	}}
}

// scopes are what may be asked for, in words.
var scopes = []struct{ Value, Text string }{
	{"profile", "names, username and language"}, {"email", "e-mail address"}, {"phone", "telephone number"}, {"groups", "groups and role"}, {"offline_access", "refresh tokens: it stays signed in while the person is away"},
}

type listPage struct {
	client.Page[client.OIDCClient]
	Issuer string
}

func (s section) list(q *shell.Ask) error {
	values := q.Values("cursor")
	values.Set("limit", "50")
	found, err := client.Get[client.Page[client.OIDCClient]](q.R.Context(), q.API, "/clients", values)
	if err != nil {
		return err
	}
	return q.Page("list", "Clients", listPage{found, s.issuer})
}

// form is a client as inputs.
type form struct {
	New           bool
	ID            string
	Name          string
	Type          string
	Organization  string
	Redirects     string // one on each line
	Logouts       string
	Backchannel   string
	Connections   []string
	Scopes        []string
	Algorithm     string
	PKCE          bool
	Access        string // "10m"
	Identity      string
	Idle          string
	Most          string
	All           []client.Connection
	AllScopes     any
	Organizations []client.Organization
	Trouble       *shell.Trouble
}

// offer fills in what there is to choose from.
func (f *form) offer(q *shell.Ask) error {
	f.AllScopes = scopes
	values := url.Values{"limit": {"200"}}
	if !f.New && f.Organization != "" {
		values.Set("organization", f.Organization)
	}
	found, err := client.Get[client.Page[client.Connection]](q.R.Context(), q.API, "/connections", values)
	if err != nil {
		return err
	}
	f.All = found.Items
	if !f.New || !q.Me.All() {
		return nil
	}
	list, err := client.Get[client.Page[client.Organization]](q.R.Context(), q.API, "/organizations", url.Values{"limit": {"200"}})
	f.Organizations = list.Items
	return err
}

func (s section) blank(q *shell.Ask) error {
	in, err := signed.Fresh(q, s.admins, "/new-client")
	if err != nil || in == nil {
		return err
	}
	f := &form{New: true, Type: "confidential", Organization: q.Me.Organization, Scopes: []string{"openid", "profile", "email", "phone", "groups"}, Algorithm: "RS256", PKCE: true,
		Access: "10m", Identity: "1h", Idle: "14d", Most: "90d"}
	if err := f.offer(q); err != nil {
		return err
	}
	return q.Page("form", "New client", f)
}

// take puts what was sent into the form, and gives it as a wish.
func (f *form) take(sent url.Values) (in client.OIDCClientPatchInput, err error) {
	f.Name, f.Redirects, f.Logouts, f.Backchannel = strings.TrimSpace(sent.Get("name")), sent.Get("redirects"), sent.Get("logouts"), strings.TrimSpace(sent.Get("backchannel"))
	f.Connections, f.Scopes, f.Algorithm, f.PKCE = append([]string{}, sent["connections"]...), append([]string{"openid"}, sent["scopes"]...), sent.Get("algorithm"), sent.Get("pkce") != ""
	f.Access, f.Identity, f.Idle, f.Most = sent.Get("access"), sent.Get("identity"), sent.Get("idle"), sent.Get("most")
	redirects, logouts := append([]string{}, strings.Fields(f.Redirects)...), append([]string{}, strings.Fields(f.Logouts)...)
	in = client.OIDCClientPatchInput{Name: &f.Name, RedirectURIs: &redirects, PostLogoutRedirectURIs: &logouts, BackchannelLogoutURI: &f.Backchannel, Connections: &f.Connections, Scopes: &f.Scopes, RequirePKCE: &f.PKCE}
	if f.Algorithm != "" {
		in.SigningAlgorithm = &f.Algorithm
	}
	for _, life := range []struct {
		text string
		into **int64
	}{{f.Access, &in.AccessTokenSeconds}, {f.Identity, &in.IDTokenSeconds}, {f.Idle, &in.RefreshIdleSeconds}, {f.Most, &in.RefreshMaxSeconds}} {
		if life.text = strings.TrimSpace(life.text); life.text == "" {
			continue
		}
		d, err := setting.ParseDuration(life.text)
		if err != nil {
			return in, fault.New(fault.Invalid, "%q is no length of time: %w", life.text, err).WithHint("write it like 10m, 1h or 14d")
		}
		n := int64(d / time.Second)
		*life.into = &n
	}
	return in, nil
}

// short is a number of seconds as people write it.
func short(seconds int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{24 * 3600, "d"}, {3600, "h"}, {60, "m"}} {
		if seconds%unit.size == 0 {
			return strconv.FormatInt(seconds/unit.size, 10) + unit.name
		}
	}
	return fmt.Sprintf("%ds", seconds)
}

// shownSecret is the page that shows a secret, once.
type shownSecret struct {
	Client client.NewOIDCClient
	Made   bool
	Issuer string
}

func (s section) create(q *shell.Ask) error {
	signedIn, err := signed.Fresh(q, s.admins, "/new-client")
	if err != nil || signedIn == nil {
		return err
	}
	if err := q.R.ParseForm(); err != nil {
		return fault.New(fault.Invalid, "the form cannot be read: %w", err)
	}
	f := &form{New: true, Type: q.R.PostForm.Get("type"), Organization: q.Me.Organization}
	if given := q.R.PostForm.Get("organization"); q.Me.All() || given != "" {
		f.Organization = given // the API says whether it is theirs to give
	}
	in, err := f.take(q.R.PostForm)
	if f.Type == "public" {
		f.PKCE = true // there is no choice
	}
	var made client.NewOIDCClient
	if err == nil {
		made, err = q.API.CreateOIDCClient(q.R.Context(), client.OIDCClientInput{Organization: f.Organization, Type: f.Type, OIDCClientPatchInput: in})
	}
	if err != nil {
		f.Trouble = q.Problem(err)
		if err := f.offer(q); err != nil {
			return err
		}
		return q.Refused("form", "New client", f)
	}
	return q.Page("secret", "The client", shownSecret{made, true, s.issuer})
}

func load(q *shell.Ask) (*form, error) {
	c, err := q.API.OIDCClient(q.R.Context(), q.R.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return &form{ID: c.ID, Name: c.Name, Type: c.Type, Organization: shell.Text(c.Organization), Redirects: strings.Join(c.RedirectURIs, "\n"), Logouts: strings.Join(c.PostLogoutRedirectURIs, "\n"),
		Backchannel: shell.Text(c.BackchannelLogoutURI), Connections: c.Connections, Scopes: c.Scopes, Algorithm: c.SigningAlgorithm, PKCE: c.RequirePKCE,
		Access: short(c.AccessTokenSeconds), Identity: short(c.IDTokenSeconds), Idle: short(c.RefreshIdleSeconds), Most: short(c.RefreshMaxSeconds)}, nil
}

func (s section) edit(q *shell.Ask) error {
	f, err := load(q)
	if err != nil {
		return err
	}
	in, err := signed.Fresh(q, s.admins, shell.Path("clients", f.ID, "edit"))
	if err != nil || in == nil {
		return err
	}
	if err := f.offer(q); err != nil {
		return err
	}
	return q.Page("form", "Change the client", f)
}

func (s section) change(q *shell.Ask) error {
	f, err := load(q)
	if err != nil {
		return err
	}
	signedIn, err := signed.Fresh(q, s.admins, shell.Path("clients", f.ID, "edit"))
	if err != nil || signedIn == nil {
		return err
	}
	if err := q.R.ParseForm(); err != nil {
		return fault.New(fault.Invalid, "the form cannot be read: %w", err)
	}
	in, err := f.take(q.R.PostForm)
	if f.Type == "public" {
		f.PKCE = true
	}
	if err == nil {
		_, err = q.API.UpdateOIDCClient(q.R.Context(), f.ID, in)
	}
	if err != nil {
		f.Trouble = q.Problem(err)
		if err := f.offer(q); err != nil {
			return err
		}
		return q.Refused("form", "Change the client", f)
	}
	q.Say(shell.Path("clients", f.ID), "Saved.")
	return nil
}

type page struct {
	Client  client.OIDCClient
	Lives   []string // of an access token, an ID token, a refresh token unused, and any
	Issuer  string
	Trouble *shell.Trouble
}

func (s section) show(q *shell.Ask) error { return s.answer(q, nil) }

func (s section) answer(q *shell.Ask, trouble *shell.Trouble) error {
	c, err := q.API.OIDCClient(q.R.Context(), q.R.PathValue("id"))
	if err != nil {
		return err
	}
	p := page{Client: c, Issuer: s.issuer, Trouble: trouble, Lives: []string{short(c.AccessTokenSeconds), short(c.IDTokenSeconds), short(c.RefreshIdleSeconds), short(c.RefreshMaxSeconds)}}
	if trouble != nil {
		return q.Refused("client", c.Name, p)
	}
	return q.Page("client", c.Name, p)
}

// act does what a button of the page says.
func (s section) act(q *shell.Ask) error {
	ctx, id := q.R.Context(), q.R.PathValue("id")
	in, err := signed.Fresh(q, s.admins, shell.Path("clients", id))
	if err != nil || in == nil {
		return err
	}
	switch q.R.PathValue("what") {
	case "secret":
		hours, err := strconv.Atoi(q.R.PostFormValue("overlap"))
		if err != nil || hours < 0 || hours > 720 {
			return s.answer(q, &shell.Trouble{Status: http.StatusUnprocessableEntity, Text: "How long the old secret stays good is hours, 720 at the most."})
		}
		seconds := hours * 3600
		c, err := q.API.RotateClientSecret(ctx, id, client.RotateInput{OverlapSeconds: &seconds})
		if err != nil {
			return s.answer(q, q.Problem(err))
		}
		return q.Page("secret", "The secret", shownSecret{Client: c, Issuer: s.issuer})
	case "delete":
		if err := q.API.DeleteOIDCClient(ctx, id); err != nil {
			return s.answer(q, q.Problem(err))
		}
		q.Say("/clients", "The client is gone, and what it was given is good for nothing.")
		return nil
	}
	http.NotFound(q.W, q.R)
	return nil
}
