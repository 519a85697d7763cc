// Package disputes is the part of the console about what only a person can decide:
// two claims on one person, two connections for one, and local accounts that a
// directory could take over. It says what can be done about each, and does it after
// having shown what would come of it.
package disputes

import (
	"embed"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
)

//go:embed *.html
var templates embed.FS

// Section is this part of the console.
func Section() shell.Section {
	return shell.Section{Name: "disputes", Templates: templates, Routes: []shell.Route{
		{Pattern: "GET /disputes", Handle: list},
		{Pattern: "GET /disputes/overlap", Handle: showOverlap},
		{Pattern: "POST /disputes/overlap", Need: shell.Changer, Handle: decideOverlap},
		{Pattern: "GET /adoption", Handle: showAdoption},
		{Pattern: "POST /adoption", Need: shell.Changer, Handle: adopt},
	}}
}

type listPage struct {
	Groups      []*group
	Next        *string
	Connections []string
	Connection  string
	Kind        string
	Open        []string // connections that take accounts of other providers over
}

// group are disputes of one connection that ask for the same decision.
type group struct {
	advice
	Connection string
	Kind, Case string
	Declared   bool // it stands in rollcall.yaml
	Items      []item
}

// item is a dispute as the page shows it.
type item struct {
	client.Dispute
	Entry side
	Sides []side
}

// side is one that claims. What is known by a DN is called by its first part.
type side struct {
	client.DisputeSide
	Short, Rest string
}

func items(list []client.Dispute) (out []item) {
	for _, d := range list {
		one := item{Dispute: d, Entry: sideOf(d.Entry)}
		for _, s := range d.Sides {
			one.Sides = append(one.Sides, sideOf(s))
		}
		out = append(out, one)
	}
	return out
}

func sideOf(s client.DisputeSide) side {
	name := shell.Text(s.Name)
	if name == "" {
		name = shell.Text(s.ExternalID)
	}
	short, rest := divide(name)
	return side{s, short, rest}
}

// divide parts a DN (RFC 4514) behind its first name; what is none stays whole.
func divide(name string) (short, rest string) {
	_, value, ok := strings.Cut(name, "=")
	if !ok {
		return name, ""
	}
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case '\\':
			i++
		case ',':
			return value[:i], value[i+1:]
		}
	}
	return name, ""
}

// advice says what the matter is and what ends it.
type advice struct {
	Title, Text string
	Do          []way
}

// way is one thing that ends a dispute; Place is a part of the connection's form.
type way struct{ Text, Place string }

// advices are by kind and case; those without a case stand for the rest of a kind.
var advices = map[string]advice{
	"dispute claimed": {"Several entries claim one value", "A username or an e-mail address belongs to one person, and the directory gives it to several. None of them is changed until one lets go.",
		[]way{{"Give one of the entries another value in the directory.", ""}, {"Or take one of them out of the scope, if it is no person.", "scope"}, {"Or have the field come from another attribute.", "what-email"}}},
	"dispute taken": {"Somebody else has the value", "The entry carries a value that belongs to an account that is kept elsewhere. The entry gets no account, and the account stays as it is.",
		[]way{{"Change the value of the entry in the directory, or of the account where it is kept.", ""}, {"If both are the same person and the account is a local one, have the entry find it.", "match"}}},
	"dispute several": {"One entry finds several accounts", "By one attribute it is one person, by another attribute somebody else. Nobody is changed.",
		[]way{{"Correct the attribute that is wrong, in the directory or in the local account.", ""}, {"Or match by fewer attributes.", "match"}}},
	"dispute shared": {"Several entries find one account", "One account cannot be kept by two entries. Nobody is changed.",
		[]way{{"Correct the attribute that is wrong in the directory.", ""}, {"Or match by an attribute that tells them apart.", "match"}, {"Or take one of the entries out of the scope.", "scope"}}},
	"dispute crowded": {"A value that tells nobody apart", "So many carry the value that it says nothing about who somebody is, as n/a does.",
		[]way{{"Leave such values out by an expression, as in employeeNumber == \"n/a\" ? \"\" : employeeNumber.", "group-mapping"}, {"Or do not match by it.", "match"}}},
	"dispute": {"Two claims on one person", "Nobody is changed until one side lets go.",
		[]way{{"Correct the values that agree and should not, in the directory.", ""}, {"Or match by other attributes.", "match"}}},
	"overlap":  {"Two connections claim the same people", "Both directories have the person. Neither changes the account until one of them is the owner.", nil},
	"mismatch": {"Accounts that could be taken over", "The entry and an account agree, but no connection keeps the account. It is left alone until you say that accounts of other providers may be taken over.", nil},
}

func adviceFor(kind, about string) advice {
	if a, ok := advices[kind+" "+about]; ok {
		return a
	}
	return advices[kind]
}

func list(q *shell.Ask) error {
	ctx := q.R.Context()
	values := q.Values("kind", "connection", "organization", "cursor")
	p := listPage{Connection: values.Get("connection"), Kind: values.Get("kind")}
	found, err := q.API.DisputePage(ctx, client.DisputeQuery{Organization: values.Get("organization"), Connection: p.Connection, Kind: p.Kind}, client.Piece{Limit: 50, Cursor: values.Get("cursor")})
	if err != nil {
		return err
	}
	all, err := connections(q)
	if err != nil {
		return err
	}
	declared := map[string]bool{}
	for i := range all {
		p.Connections = append(p.Connections, all[i].Alias)
		declared[all[i].Alias] = all[i].Declared
		if takesOver(&all[i]) {
			p.Open = append(p.Open, all[i].Alias)
		}
	}
	p.Next, p.Groups = found.NextCursor, grouped(found.Items)
	for _, g := range p.Groups {
		g.Declared = declared[g.Connection]
	}
	return q.Page("list", "Disputes", p)
}

func connections(q *shell.Ask) ([]client.Connection, error) {
	found, err := client.Get[client.Page[client.Connection]](q.R.Context(), q.API, "/connections", url.Values{"limit": {"500"}})
	return found.Items, err
}

// kinds are in the order in which they are shown.
var kinds = []string{"dispute", "overlap", "mismatch"}

// grouped puts together what asks for the same decision: by kind, in the order of
// connections.
func grouped(list []client.Dispute) (out []*group) {
	for _, d := range items(list) {
		same := func(g *group) bool {
			return g.Kind == d.Kind && g.Connection == d.Connection && (g.Case == d.Case || d.Kind != "dispute")
		}
		i := slices.IndexFunc(out, same)
		if i < 0 {
			i = len(out)
			out = append(out, &group{advice: adviceFor(d.Kind, d.Case), Connection: d.Connection, Kind: d.Kind, Case: d.Case})
		}
		out[i].Items = append(out[i].Items, d)
	}
	slices.SortStableFunc(out, func(a, b *group) int { return slices.Index(kinds, a.Kind) - slices.Index(kinds, b.Kind) })
	return out
}

// wrong is what went wrong, for a page that is shown again.
func wrong(text, hint string) *shell.Trouble {
	return &shell.Trouble{Status: http.StatusUnprocessableEntity, Text: text, Hint: hint}
}

func by(names []string) string {
	for i, n := range names {
		names[i] = strings.ReplaceAll(n, "_", " ")
	}
	return strings.Join(names, " and ")
}
