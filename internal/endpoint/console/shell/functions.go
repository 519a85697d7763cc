package shell

import (
	"encoding/json"
	"fmt"
	"html/template"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"rollcall.dev/rollcall/client"
)

// functions are what templates may call beside the language's own:
//
//	asset "x.js"          its address
//	num 12345             12,345
//	count 3 "person" "people"   3 people
//	ago .At               a <time>: "3 min ago", the moment itself as its title
//	moment .At            a <time>: "2026-11-22 05:04"
//	length .From .To      "2 min 5 s"
//	badge "held"          a coloured word for a state, health, action or status
//	path "people" .ID     /people/…, its parts escaped
//	query .Query "k" "v"  ?… of this page with k set to v ("" takes it out)
//	nameOf .              how people know an account
//	text .Pointer         what it points at, or ""
//	json .X               indented JSON
//	list "a" "b"          a list
//	dict "k" v            a map, for parts that take several things
//	tone "held"           the colour of badge
//	signed 3              +3
//	help .Help            a text of the documentation: what stands in backticks as code
//	bars .Bars            a bar chart, see Bars
//	icon "plan"           a picture in the text's colour
//	initials "Ada Byron"  AB
//	percent 3 12          25
//	join .List ", "       as strings.Join
func (s *Shell) functions() template.FuncMap {
	return template.FuncMap{
		"asset": func(name string) (string, error) {
			a, ok := s.assets[name]
			if !ok {
				return "", fmt.Errorf("there is no asset %q", name)
			}
			return "/assets/" + name + "?v=" + a.hash, nil
		},
		"num":   num,
		"count": Count,
		"ago":   func(at any) template.HTML { return ago(at, s.Now()) },
		"moment": func(at any) template.HTML {
			t, ok := instant(at)
			if !ok {
				return "–"
			}
			return timeTag(t, t.UTC().Format("2006-01-02 15:04"))
		},
		"day": func(at any) template.HTML {
			t, ok := instant(at)
			if !ok {
				return "–"
			}
			return timeTag(t, t.UTC().Format("2 January 2006"))
		},
		"length": func(from, to any) string {
			a, ok := instant(from)
			b, done := instant(to)
			if !ok {
				return "–"
			}
			if !done {
				b = s.Now()
			}
			return Length(b.Sub(a))
		},
		"took":     Length,
		"micros":   func(us int64) string { return Length(time.Duration(us) * time.Microsecond) },
		"badge":    badge,
		"path":     Path,
		"query":    query,
		"text":     text,
		"json":     indented,
		"list":     func(items ...any) []any { return items },
		"strings":  func(items ...string) []string { return items },
		"dict":     dict,
		"bars":     func(b Bars) template.HTML { return b.draw() },
		"icon":     icon,
		"initials": initials,
		"percent": func(part, whole any) int {
			p, w := number(part), number(whole)
			if w == 0 {
				return 0
			}
			return int(min(100, p*100/w))
		},
		"join": strings.Join,
		"help": help,
		"tone": func(word any) string { return tones[text(word)] },
		"signed": func(v any) string {
			if n := number(v); n > 0 {
				return "+" + num(n)
			} else if n < 0 {
				return num(n)
			}
			return "no change"
		},
		"nameOf":  func(a client.Account) string { return NameOf(&a) },
		"has":     slices.Contains[[]string],
		"capital": capital,
		"lower":   strings.ToLower,
		"prefix":  strings.HasPrefix,
		"or0": func(p *int) int {
			if p == nil {
				return 0
			}
			return *p
		},
		"add": func(a, b any) int64 { return number(a) + number(b) },
	}
}

// Path joins parts into an address of the console, each escaped.
func Path(parts ...any) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString("/" + url.PathEscape(text(p)))
	}
	return b.String()
}

// query is the query of a page with some values changed, "" taking one out.
func query(of url.Values, pairs ...any) (string, error) {
	if len(pairs)%2 != 0 {
		return "", fmt.Errorf("query: an odd number of names and values")
	}
	out := url.Values{}
	for k, v := range of {
		out[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		name, value := text(pairs[i]), text(pairs[i+1])
		if value == "" {
			out.Del(name)
		} else {
			out.Set(name, value)
		}
	}
	return "?" + out.Encode(), nil
}

// text is a value as plain text; "" for nil, and what a pointer points at.
func text(v any) string {
	r := reflect.ValueOf(v)
	for r.Kind() == reflect.Pointer {
		if r.IsNil() {
			return ""
		}
		r = r.Elem()
	}
	if !r.IsValid() {
		return ""
	}
	return fmt.Sprint(r.Interface())
}

func number(v any) int64 {
	r := reflect.Indirect(reflect.ValueOf(v))
	switch {
	case !r.IsValid():
		return 0
	case r.CanInt():
		return r.Int()
	case r.CanUint():
		return int64(r.Uint()) //nolint:gosec // counts
	case r.CanFloat():
		return int64(r.Float())
	}
	return 0
}

// num writes a number with a comma between thousands.
func num(v any) string {
	digits := strconv.FormatInt(number(v), 10)
	sign := ""
	if digits[0] == '-' {
		sign, digits = "−", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// Count is a number with its noun.
func Count(n any, one, more string) string {
	if number(n) == 1 {
		return "1 " + one
	}
	return num(n) + " " + more
}

func instant(v any) (time.Time, bool) {
	switch t := v.(type) {
	case time.Time:
		return t, !t.IsZero()
	case *time.Time:
		if t == nil {
			return time.Time{}, false
		}
		return *t, !t.IsZero()
	}
	return time.Time{}, false
}

func timeTag(t time.Time, words string) template.HTML {
	return template.HTML(`<time datetime="` + t.UTC().Format(time.RFC3339) + `" title="` + t.UTC().Format("Monday, 2 January 2006, 15:04:05 UTC") + `">` + words + `</time>`) //nolint:gosec // nothing of strangers is in it
}

// ago says how long since, or until.
func ago(at any, now time.Time) template.HTML {
	t, ok := instant(at)
	if !ok {
		return "–"
	}
	d := now.Sub(t)
	var words string
	switch {
	case d < 0 && d > -45*time.Second, d >= 0 && d < 45*time.Second:
		words = "now"
	case d < 0:
		words = "in " + rough(-d)
	default:
		words = rough(d) + " ago"
	}
	return timeTag(t, words)
}

func rough(d time.Duration) string {
	switch {
	case d < 90*time.Minute:
		return strconv.Itoa(int(d.Round(time.Minute)/time.Minute)) + " min"
	case d < 36*time.Hour:
		return strconv.Itoa(int(d.Round(time.Hour)/time.Hour)) + " h"
	case d < 60*24*time.Hour:
		return Count(int(d.Round(24*time.Hour)/(24*time.Hour)), "day", "days")
	case d < 700*24*time.Hour:
		return Count(int(d/(30*24*time.Hour)), "month", "months")
	}
	return Count(int(d/(365*24*time.Hour)), "year", "years")
}

// Length is a duration as people say it.
func Length(d time.Duration) string {
	switch {
	case d < time.Second:
		return strconv.Itoa(int(d/time.Millisecond)) + " ms"
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Minute:
		return strconv.Itoa(int(d/time.Second)) + " s"
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
}

// tones are the colours of words: good, wait, bad, new, calm.
var tones = map[string]string{
	"ok": "good", "active": "good", "applied": "good", "delivered": "good", "create": "good", "enable": "good", "restore": "good", "add": "good", "go": "good", "on": "good", "accepted": "good",
	"held": "wait", "incomplete": "wait", "warn": "wait", "disabled": "wait", "pending": "wait", "ready": "wait", "warning": "wait", "dispute": "wait", "unset": "wait", "paused": "wait", "unresolved": "wait", "expired": "wait", "refused": "wait", "away": "wait",
	"failing": "bad", "failed": "bad", "fail": "bad", "quarantined": "bad", "dead": "bad", "delete": "bad", "deleted": "bad", "disable": "bad", "remove": "bad", "problem": "bad", "revoked": "bad", "rejected": "bad", "off": "bad",
	"running": "new", "applying": "new", "new": "new", "update": "new", "link": "new", "operator": "new",
}

func badge(word any) template.HTML {
	w := text(word)
	if w == "" {
		return ""
	}
	tone := tones[w]
	if tone == "" {
		tone = "calm"
	}
	return template.HTML(`<span class="badge ` + tone + `">` + template.HTMLEscapeString(w) + `</span>`) //nolint:gosec // escaped
}

// help shows a text of the documentation: what stands in backticks as code.
func help(s string) template.HTML {
	var b strings.Builder
	for i, part := range strings.Split(s, "`") {
		if i%2 == 1 {
			b.WriteString("<code>" + template.HTMLEscapeString(part) + "</code>")
		} else {
			b.WriteString(template.HTMLEscapeString(part))
		}
	}
	return template.HTML(b.String()) //nolint:gosec // escaped
}

func indented(v any) (string, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	return string(b), err
}

func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict: an odd number of names and values")
	}
	out := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		out[text(pairs[i])] = pairs[i+1]
	}
	return out, nil
}

// initials are the first letters of the first and the last word.
func initials(name any) string {
	words := strings.Fields(text(name))
	if len(words) == 0 {
		return "?"
	}
	first, _ := utf8.DecodeRuneInString(words[0])
	out := string(unicode.ToUpper(first))
	if len(words) > 1 {
		last, _ := utf8.DecodeRuneInString(words[len(words)-1])
		out += string(unicode.ToUpper(last))
	}
	return out
}

// capital makes a sentence of a message.
func capital(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToUpper(r)) + s[n:]
}
