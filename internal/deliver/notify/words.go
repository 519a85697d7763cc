package notify

import (
	"bytes"
	"fmt"
	"html/template"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/store/notices"
)

// words are what a message says, the same in text, HTML and JSON.
type words struct {
	Subject string
	Title   string
	About   []about
	Text    string
	Hint    string
	Link    string
}

type about struct{ Name, Value string }

// titles say what began and what ended, and what a person can do.
var titles = map[notices.Reason]struct{ began, ended, hint string }{
	notices.RunFailed:       {"A run failed", "Runs end well again", "`rollcall runs show last` tells more, `rollcall check CONNECTION` looks at the connection."},
	notices.PlanHeld:        {"A plan waits for a person", "No plan waits any more", "`rollcall plans list` shows it; look at its changes, then approve or reject it. Nothing is changed before."},
	notices.Quarantine:      {"A connection is in quarantine", "A connection left quarantine", "`rollcall check CONNECTION` looks at the connection. It leaves quarantine by itself with the first run that ends well; `rollcall sync CONNECTION` tries at once."},
	notices.Credential:      {"A credential runs out", "A credential was renewed", "Make a new one in the directory and set it in the connection before that day; runs fail from then on."},
	notices.Licence:         {"A licence is nearly used up", "A licence has room again", "Raise `licence_limit` of the organization, or have people taken out of scope."},
	notices.WebhookDisabled: {"A webhook was disabled", "A webhook is enabled again", "See to its endpoint, then enable the webhook: what happened meanwhile is delivered."},
}

func say(m *notices.Message, link string) words {
	t := titles[m.Reason]
	w := words{Title: t.began, Text: m.Text, Hint: t.hint, Link: link}
	if m.Reason == notices.Licence && strings.HasPrefix(m.Text, "All") {
		w.Title = "A licence is used up"
	}
	if m.Ended {
		w.Title, w.Text, w.Hint = t.ended, "", ""
		if m.EndText != nil {
			w.Text = *m.EndText
		}
	}
	where := ""
	if m.Connection != nil {
		w.About = append(w.About, about{"Connection", *m.Connection})
		where = *m.Connection
	}
	if m.Organization != nil {
		w.About = append(w.About, about{"Organization", *m.Organization})
		if where == "" {
			where = *m.Organization
		}
	}
	at := m.FirstAt
	if m.Ended {
		at = *m.EndedAt
	}
	w.About = append(w.About, about{"Since", m.FirstAt.UTC().Format("2006-01-02 15:04 MST")})
	if m.Ended {
		w.About = append(w.About, about{"Until", at.UTC().Format("2006-01-02 15:04 MST")})
	}
	w.Subject = w.Title
	if where != "" {
		w.Subject = where + ": " + strings.ToLower(w.Title[:1]) + w.Title[1:]
	}
	return w
}

// mostListed is how many of several messages a mail names one by one.
const mostListed = 200

// sayAll puts several messages into one.
func sayAll(list []*notices.Message, link string) words {
	began, over := 0, 0
	var b strings.Builder
	for i, m := range list {
		one := say(m, "")
		if m.Ended {
			over++
		} else {
			began++
		}
		if i < mostListed {
			text, _, _ := strings.Cut(one.Text, "\n")
			if len(text) > 200 {
				text = strings.ToValidUTF8(text[:200], "") + "..."
			}
			b.WriteString(one.Subject)
			if text != "" {
				b.WriteString(": " + text)
			}
			b.WriteByte('\n')
		}
	}
	if len(list) > mostListed {
		fmt.Fprintf(&b, "and %d more\n", len(list)-mostListed)
	}
	w := words{Text: strings.TrimRight(b.String(), "\n"), Link: link}
	switch {
	case over == 0:
		w.Title = fmt.Sprintf("%d things need somebody", began)
	case began == 0:
		w.Title = fmt.Sprintf("%d things are well again", over)
	default:
		w.Title = fmt.Sprintf("%d things need somebody, %d are well again", began, over)
	}
	w.Subject = w.Title
	return w
}

// plain is the message as text, in lines a person can read anywhere.
func (w *words) plain() string {
	var b strings.Builder
	b.WriteString(w.Title + "\n\n")
	for _, a := range w.About {
		b.WriteString(a.Name + ": " + a.Value + "\n")
	}
	for _, part := range []string{w.Text, w.Hint, w.Link} {
		if part != "" {
			b.WriteString("\n" + part + "\n")
		}
	}
	b.WriteString("\nRollcall tells this once, and again only when it changes or comes back.\n")
	return b.String()
}

var page = template.Must(template.New("mail").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{{.Subject}}</title></head>
<body style="font-family:sans-serif;color:#1a1a1a;max-width:40em">
<h2 style="font-size:1.2em">{{.Title}}</h2>
<table style="border-collapse:collapse">
{{range .About}}<tr><td style="padding:2px 16px 2px 0;color:#555">{{.Name}}</td><td>{{.Value}}</td></tr>
{{end}}</table>
{{if .Text}}<p style="white-space:pre-wrap;background:#f4f4f4;padding:10px">{{.Text}}</p>
{{end}}{{if .Hint}}<p>{{.Hint}}</p>
{{end}}{{if .Link}}<p><a href="{{.Link}}">{{.Link}}</a></p>
{{end}}<p style="color:#777;font-size:0.85em">Rollcall tells this once, and again only when it changes or comes back.</p>
</body></html>
`))

func (w *words) html() (string, error) {
	var b bytes.Buffer
	err := page.Execute(&b, w)
	return b.String(), err
}

// seconds is a time as part of an ID.
func seconds(t *time.Time) string {
	if t == nil {
		return "0"
	}
	return t.UTC().Format("20060102150405")
}
