package plan

import (
	"regexp"
	"strings"

	"rollcall.dev/rollcall/internal/account"
)

// Cause is what many notes have in common: what is the matter, without whom it is
// about.
type Cause struct {
	Field string // the field or custom attribute it is about, "" for none
	Text  string
}

var (
	// source is where a field's value was to come from, at the end of a problem.
	source  = regexp.MustCompile(` \((attribute [^()]+|constant|expression over [^()]+)\)$`)
	quoted  = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	uuids   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	moments = regexp.MustCompile(`\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?( ?[A-Z]{1,5})?)?`)
)

// Causes are what a note is about, each of its sentences by itself. Of matches that
// were refused it is the case.
func (n *Note) Causes() []Cause {
	if n.About != nil {
		return []Cause{{"", caseTexts[string(n.About.Case)]}}
	}
	var out []Cause
	for _, text := range strings.Split(n.Text, "; ") {
		c := Cause{Text: text}
		if n.Kind == Problem || n.Kind == Warning {
			c.Field, c.Text = fieldOf(text)
		}
		c.Text = quoted.ReplaceAllString(c.Text, `"..."`)
		c.Text = uuids.ReplaceAllString(c.Text, "...")
		c.Text = moments.ReplaceAllString(c.Text, "...")
		out = append(out, c)
	}
	return out
}

// fieldOf takes a sentence of the mapping apart: "email is empty (attribute mail)".
func fieldOf(text string) (field, rest string) {
	name, rest, ok := strings.Cut(text, " ")
	if !ok {
		return "", text
	}
	if _, known := account.FieldNamed(name); known || source.MatchString(text) {
		return name, rest
	}
	return "", text
}

// caseTexts say what is the matter where a match was refused.
var caseTexts = map[string]string{
	"claimed":  "several entries claim the same value",
	"taken":    "the value belongs to an account that somebody else holds",
	"several":  "the entry matches several accounts",
	"shared":   "several entries match one account",
	"crowded":  "too many carry the value for it to tell anybody apart",
	"overlap":  "another connection keeps the person too, and neither is the owner",
	"owned":    "another connection is the declared owner",
	"mismatch": "the account is another provider's, and `no-update-provider-mismatch` leaves it alone",
}
