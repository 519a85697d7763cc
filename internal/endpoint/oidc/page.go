package oidc

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/clients"
)

//go:embed page.html
var pageHTML string

var pages = template.Must(template.New("page").Parse(pageHTML))

// page is one of the few sentences that people see here.
type page struct {
	Title, Text, Hint    string
	Form, Sealed, Button string // what a form sends, and where
	Link, Words          string // where to go on
}

// show writes a page, in the looks of those at which people sign in. Its form, if it has one, may lead on to an address.
func (p *Provider) show(w http.ResponseWriter, status int, what page, leads string) {
	action := "'none'"
	if what.Form != "" {
		if action = "'self'"; leads != "" {
			action += " " + target(leads)
		}
	}
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action "+action+"; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Content-Type", "text/html; charset=utf-8")
	var b bytes.Buffer
	if err := pages.Execute(&b, what); err != nil {
		p.Log.Error("a page could not be written", "error", err.Error())
		http.Error(w, "something went wrong inside the server", http.StatusInternalServerError)
		return
	}
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // whoever has gone away is told nothing
}

var statuses = map[fault.Kind]int{fault.NotFound: http.StatusNotFound, fault.Invalid: http.StatusBadRequest, fault.Denied: http.StatusForbidden, fault.Unavailable: http.StatusServiceUnavailable}

// fail tells a person what went wrong. Nobody is sent anywhere.
func (p *Provider) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, known := statuses[fault.KindOf(err)]
	what := page{Title: "This did not work", Text: sentence(err.Error()), Hint: sentence(fault.HintOf(err))}
	if !known {
		status = http.StatusInternalServerError
		p.Log.Error("a page could not be shown", "path", r.URL.Path, "error", err.Error())
		what.Text, what.Hint = "Something went wrong inside the server.", "Try again later; the server's log has more."
	}
	p.show(w, status, what, "")
}

func sentence(s string) string {
	if s == "" {
		return ""
	}
	if s[0] >= 'a' && s[0] <= 'z' {
		s = string(s[0]-'a'+'A') + s[1:]
	}
	return s + "."
}

// another says that who is signed in is not who may come in, and offers to sign in
// once more.
func (p *Provider) another(w http.ResponseWriter, r *http.Request, c *clients.Client, req *request, a *account.Account, why fit) {
	sealed, err := p.seal(req)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	who := a.Text[account.Username]
	what := page{Title: "Sign in once more", Link: p.door(c, req, sealed), Words: "Sign in"}
	switch why {
	case stranger:
		what.Text = "You are signed in as " + who + ", by a way that does not lead to " + c.Name + "."
		what.Hint = "If you have another account, sign in with that; if not, ask who looks after " + c.Name + "."
	case other:
		what.Text = "You are signed in as " + who + ", and " + c.Name + " asks for somebody else."
	case stale, fits:
		what.Text = c.Name + " asks you to prove again that it is you."
	}
	p.show(w, http.StatusForbidden, what, "")
}
