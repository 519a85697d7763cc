package login

import (
	"bytes"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"rollcall.dev/rollcall/internal/fault"
)

// ask is one request.
type ask struct {
	w      http.ResponseWriter
	r      *http.Request
	p      *pages
	sealed string
}

// view is what a page sees.
type view struct {
	Title       string
	Form        string // the value for its form
	Next        string
	Application string // that the person came from
	Data        any
	Trouble     *trouble
}

// trouble is what is wrong, and what to do.
type trouble struct {
	Text string
	Hint string
}

func (q *ask) page(status int, name, title string, data any, t *trouble) error {
	form, err := q.token()
	if err != nil {
		return err
	}
	v := view{Title: title, Form: form, Next: q.next(), Data: data, Trouble: t}
	if v.Next != "" && q.p.About != nil {
		v.Application = q.p.About(v.Next)
	}
	action := "; form-action 'self'"
	if v.Next != "" && q.p.Leads != nil {
		if origin := q.p.Leads(v.Next); origin != "" {
			action += " " + origin
		}
	}
	q.w.Header().Set("Content-Security-Policy", policy+action)
	var b bytes.Buffer
	if err := q.p.tree[name].ExecuteTemplate(&b, "layout", v); err != nil {
		return fault.New(fault.Internal, "login: page %s: %w", name, err)
	}
	q.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	q.w.WriteHeader(status)
	_, _ = q.w.Write(b.Bytes()) // whoever went away does not read it
	return nil
}

// next is where the person is to be sent, from the form or the address.
func (q *ask) next() string {
	if q.r.Method == http.MethodPost {
		return Next(q.r.PostFormValue("next"))
	}
	return Next(q.r.URL.Query().Get("next"))
}

// redirect sends the browser on after a form was taken.
func (q *ask) redirect(to string) { http.Redirect(q.w, q.r, to, http.StatusSeeOther) }

// hint is a login that a page may be filled in with: a stranger wrote it.
func hint(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > 320 || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return ""
	}
	return text
}

func capital(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	s = string(unicode.ToUpper(r)) + s[n:]
	if !strings.HasSuffix(s, ".") && !strings.HasSuffix(s, "?") {
		s += "."
	}
	return s
}

var statuses = map[fault.Kind]int{
	fault.Internal: http.StatusInternalServerError, fault.NotFound: http.StatusNotFound, fault.Invalid: http.StatusUnprocessableEntity,
	fault.Conflict: http.StatusConflict, fault.Denied: http.StatusForbidden, fault.Unavailable: http.StatusServiceUnavailable, fault.Held: http.StatusConflict,
}

func errNoPage() error {
	return fault.New(fault.NotFound, "there is no such page").WithHint("look at the address once more, or ask whoever gave it to you")
}

func errInside() error { return fault.New(fault.Internal, "something went wrong inside the server") }

// told is an error as a person is told of it. What is nobody's business but the
// log's is logged.
func (q *ask) told(err error) (status int, t *trouble) {
	status = statuses[fault.KindOf(err)]
	if status >= http.StatusInternalServerError {
		q.p.Log.Error("a sign-in page failed", "route", q.r.Pattern, "error", err.Error())
		return status, &trouble{"Something went wrong on our side.", "Try once more in a moment. Your password is not the reason."}
	}
	return status, &trouble{capital(err.Error()), capital(fault.HintOf(err))}
}

// fail answers with an error.
func (q *ask) fail(err error) {
	status, t := q.told(err)
	if err := q.page(status, "problem", "Sign in", nil, t); err != nil {
		q.p.Log.Error("no page could be made of an error", "error", err.Error())
		http.Error(q.w, t.Text, status)
	}
}
