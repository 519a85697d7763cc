package shell

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/fault"
)

// Ask is one request, with who makes it and what answers it.
type Ask struct {
	W  http.ResponseWriter
	R  *http.Request
	Me *Me // nil on public pages before sign-in
	// API does what Me may do, with R.Context(); nil on public pages.
	API *client.Client

	shell    *Shell
	section  string
	answered bool
}

// Page answers with a page of the section: a title, and what its template calls
// .Data.
func (q *Ask) Page(name, title string, data any) error {
	return q.page(http.StatusOK, q.section+"/"+name, title, data)
}

// Refused answers with a page whose form was not taken: data holds what was given
// and what is wrong with it.
func (q *Ask) Refused(name, title string, data any) error {
	return q.page(http.StatusUnprocessableEntity, q.section+"/"+name, title, data)
}

func (q *Ask) page(status int, name, title string, data any) error {
	p := q.shell.pages[name]
	if p == nil {
		return fault.New(fault.Internal, "console: there is no page %q", name)
	}
	theme := q.Remembered("theme")
	if theme != "light" && theme != "dark" {
		theme = ""
	}
	v := view{Title: title, Section: q.section, Page: strings.TrimPrefix(name, q.section+"/"), Me: q.Me, Path: q.R.URL.Path, Query: q.R.URL.Query(), Data: data, Version: q.shell.Version,
		Said: q.said(), Theme: theme}
	if q.Me != nil {
		v.CSRF = q.Me.CSRF
	}
	var b bytes.Buffer
	if err := p.tree.ExecuteTemplate(&b, "layout", v); err != nil {
		return fault.New(fault.Internal, "console: page %s: %w", name, err)
	}
	q.W.Header().Set("Content-Type", "text/html; charset=utf-8")
	q.answered = true
	q.W.WriteHeader(status)
	_, _ = q.W.Write(b.Bytes()) // whoever went away does not read it
	return nil
}

// Now is the time.
func (q *Ask) Now() time.Time { return q.shell.Now() }

// Values are those of the query that were given, among the names.
func (q *Ask) Values(names ...string) url.Values {
	out := url.Values{}
	for _, name := range names {
		if v := q.R.URL.Query().Get(name); v != "" {
			out.Set(name, v)
		}
	}
	return out
}

// Redirect sends the browser on after a form was taken (303).
func (q *Ask) Redirect(to string) {
	q.answered = true
	http.Redirect(q.W, q.R, to, http.StatusSeeOther)
}

// Say is Redirect with a sentence that the next page shows once.
func (q *Ask) Say(to, sentence string) {
	http.SetCookie(q.W, &http.Cookie{Name: "rollcall-said", Value: url.QueryEscape(sentence), Path: "/", MaxAge: 60, Secure: q.shell.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	q.Redirect(to)
}

func (q *Ask) said() string {
	c, err := q.R.Cookie("rollcall-said")
	if err != nil {
		return ""
	}
	http.SetCookie(q.W, &http.Cookie{Name: "rollcall-said", Path: "/", MaxAge: -1, Secure: q.shell.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	text, err := url.QueryUnescape(c.Value)
	if err != nil || len(text) > 500 {
		return ""
	}
	return text
}

// Back is where somebody is sent who came from a page of ours: a path that begins
// with one slash.
func Back(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.Contains(next, `\`) {
		return "/"
	}
	return next
}

// Escape is a text as a value in a query.
func Escape(s string) string { return url.QueryEscape(s) }

// Trouble is an error as a page shows it: a sentence, and what to do.
type Trouble struct {
	Status int
	Text   string
	Hint   string
}

// Problem makes an error fit to show. What is nobody's business but the log's is
// logged and named only.
func (q *Ask) Problem(err error) *Trouble {
	if err == nil {
		return nil
	}
	var p *client.Problem
	if errors.As(err, &p) {
		return &Trouble{p.Status, capital(p.Detail), capital(p.Hint)}
	}
	status := statuses[fault.KindOf(err)]
	if status >= 500 && q.R.Context().Err() == nil { // a browser that went away is no failure
		q.shell.Log.Error("a page failed", "path", q.route(), "error", err.Error())
		if fault.KindOf(err) == fault.Internal {
			return &Trouble{status, "Something went wrong inside the server.", "Try once more; the server's log says what it was."}
		}
	}
	return &Trouble{status, capital(err.Error()), capital(fault.HintOf(err))}
}

var statuses = map[fault.Kind]int{
	fault.Internal: http.StatusInternalServerError, fault.NotFound: http.StatusNotFound, fault.Invalid: http.StatusUnprocessableEntity,
	fault.Conflict: http.StatusConflict, fault.Denied: http.StatusForbidden, fault.Unavailable: http.StatusServiceUnavailable, fault.Held: http.StatusConflict,
}

// route is the pattern, not the path: that may hold a token.
func (q *Ask) route() string { return q.R.Pattern }

// fail answers with an error.
func (q *Ask) fail(err error) {
	if q.answered {
		return
	}
	t := q.Problem(err)
	if t.Status == http.StatusUnauthorized {
		q.Redirect("/signin")
		return
	}
	if err := q.page(t.Status, "shell/problem", http.StatusText(t.Status), t); err != nil {
		q.shell.Log.Error("no page could be made of an error", "error", err.Error())
		http.Error(q.W, t.Text, t.Status)
	}
}
