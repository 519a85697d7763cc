// Package plans is the part of the console where a person sees what would happen,
// row by row, and decides about it.
package plans

import (
	"cmp"
	"embed"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
)

//go:embed *.html
var templates embed.FS

// Section is this part of the console.
func Section() shell.Section {
	return shell.Section{Name: "plans", Templates: templates, Routes: []shell.Route{
		{Pattern: "GET /plans", Handle: list},
		{Pattern: "GET /plans/{id}", Handle: show},
		{Pattern: "POST /plans/{id}", Need: shell.Changer, Handle: decide},
	}}
}

type listPage struct {
	Plans client.Page[client.Plan]
	State string
}

func list(q *shell.Ask) error {
	values := q.Values("state", "connection", "organization", "cursor")
	values.Set("limit", "50")
	found, err := client.Get[client.Page[client.Plan]](q.R.Context(), q.API, "/plans", values)
	if err != nil {
		return err
	}
	return q.Page("list", "Plans", listPage{found, values.Get("state")})
}

type page struct {
	Plan     client.Plan
	Rows     []Row
	Next     string
	Kinds    []kind
	Notes    []noted
	Excluded string // what was ticked so far, as 3,7-10
	Count    int    // of those
	Waits    bool   // for a person's decision
	Trouble  *shell.Trouble
	Names    map[string]string
}

// kind is one action of the plan with its number of rows.
type kind struct {
	Action, Target, Text string
	Count                int
}

// noted are the notes of one kind.
type noted struct {
	Kind  string
	Title string
	Notes []client.Note
	More  bool
}

// Row is a change as the page shows it.
type Row struct {
	shell.Change
	Out bool // ticked
}

func show(q *shell.Ask) error { return answer(q, nil) }

func answer(q *shell.Ask, trouble *shell.Trouble) error {
	ctx, id := q.R.Context(), q.R.PathValue("id")
	p := page{Trouble: trouble}
	var err error
	if p.Plan, err = client.Get[client.Plan](ctx, q.API, "/plans/"+url.PathEscape(id), url.Values{"changes": {"false"}}); err != nil {
		return err
	}
	p.Waits = (p.Plan.State == "held" || p.Plan.State == "ready") && p.Plan.Verdict != "nothing" && q.Me.Changes()
	excluded := parse(q.R.FormValue("x"))
	p.Excluded, p.Count = format(excluded), len(excluded)
	p.Kinds = kinds(&p.Plan.Summary)
	if !p.Plan.Pruned {
		if err := p.rows(q, excluded); err != nil {
			return err
		}
	}
	if trouble != nil {
		return q.Refused("plan", "Plan "+p.Plan.ID, p)
	}
	return q.Page("plan", "Plan "+p.Plan.ID, p)
}

func (p *page) rows(q *shell.Ask, excluded map[int64]bool) error {
	ctx, path := q.R.Context(), "/plans/"+url.PathEscape(p.Plan.ID)
	values := q.Values("action", "target", "q", "cursor")
	values.Set("limit", "50")
	rows, err := client.Get[client.Page[client.Change]](ctx, q.API, path+"/changes", values)
	if err != nil {
		return err
	}
	if rows.NextCursor != nil {
		p.Next = *rows.NextCursor
	}
	shown, err := shell.Changes(q, p.Plan.ID, rows.Items, false)
	if err != nil {
		return err
	}
	for _, c := range shown {
		p.Rows = append(p.Rows, Row{c, c.Excluded || excluded[c.Seq]})
	}
	notes, err := client.Get[client.Page[client.Note]](ctx, q.API, path+"/notes", url.Values{"limit": {"200"}})
	if err != nil {
		return err
	}
	p.Notes = grouped(notes.Items, notes.NextCursor != nil)
	return nil
}

// titles say what each kind of note is about, the gravest first.
var titles = []struct{ kind, title string }{
	{"failed", "Could not be written"},
	{"dispute", "Two claims that need a person"},
	{"problem", "Entries that cannot be used as they are"},
	{"refused", "Left alone by the policy"},
	{"unresolved", "References to nobody"},
	{"warning", "Values left out"},
	{"due", "Will be due"},
	{"excluded", "Taken out by a person"},
}

func grouped(notes []client.Note, more bool) []noted {
	const most = 20
	var out []noted
	for _, t := range titles {
		n := noted{Kind: t.kind, Title: t.title}
		for _, note := range notes {
			if note.Kind == t.kind {
				n.Notes = append(n.Notes, note)
			}
		}
		if len(n.Notes) == 0 {
			continue
		}
		n.More = more || len(n.Notes) > most
		n.Notes = n.Notes[:min(len(n.Notes), most)]
		out = append(out, n)
	}
	return out
}

func kinds(s *client.Summary) (out []kind) {
	add := func(target, of string, c client.Counts) {
		for _, k := range []struct {
			action string
			n      int
		}{{"create", c.Create}, {"update", c.Update}, {"link", c.Link}, {"enable", c.Enable}, {"restore", c.Restore}, {"disable", c.Disable}, {"delete", c.Delete}} {
			if k.n > 0 {
				out = append(out, kind{k.action, target, k.action + of, k.n})
			}
		}
	}
	add("account", "", s.Counts)
	add("group", " group", s.Groups)
	for _, k := range []kind{{"add", "membership", "add to group", s.Add}, {"remove", "membership", "remove from group", s.Remove}} {
		if k.Count > 0 {
			out = append(out, k)
		}
	}
	return out
}

// decide takes the form of the page: ticks are carried from page to page in x.
func decide(q *shell.Ask) error {
	if err := q.R.ParseForm(); err != nil {
		return err
	}
	form := q.R.PostForm
	excluded := parse(form.Get("x"))
	for n := range parse(form.Get("shown")) {
		delete(excluded, n)
	}
	for _, text := range form["exclude"] {
		for n := range parse(text) {
			excluded[n] = true
		}
	}
	id := q.R.PathValue("id")
	here := shell.Path("plans", id)
	switch form.Get("do") {
	case "approve":
		in := client.ApproveInput{}
		if list := format(excluded); list != "" {
			in.Exclude = strings.Split(list, ",")
		}
		run, err := q.API.Approve(q.R.Context(), id, in)
		if err != nil {
			return again(q, excluded, err)
		}
		q.Say(shell.Path("runs", run.ID), "The plan is being carried out.")
		return nil
	case "reject":
		if _, err := q.API.Reject(q.R.Context(), id); err != nil {
			return again(q, excluded, err)
		}
		q.Say(here, "The plan was rejected; nothing of it is written.")
		return nil
	}
	next := q.Values("action", "target", "q", "cursor")
	if cursor := form.Get("do"); cursor != "" && cursor != "mark" {
		next.Set("cursor", strings.TrimPrefix(cursor, "next:"))
	}
	if list := format(excluded); list != "" {
		next.Set("x", list)
	} else {
		next.Del("x")
	}
	q.Redirect(here + "?" + next.Encode())
	return nil
}

func again(q *shell.Ask, excluded map[int64]bool, err error) error {
	q.R.Form.Set("x", format(excluded))
	return answer(q, q.Problem(err))
}

// parse reads row numbers and ranges of them, leaving out what is none.
func parse(text string) map[int64]bool {
	const most = 100_000
	out := map[int64]bool{}
	for item := range strings.SplitSeq(text, ",") {
		from, to, ranged := strings.Cut(strings.TrimSpace(item), "-")
		a, err := strconv.ParseInt(from, 10, 64)
		if err != nil || a < 1 {
			continue
		}
		b := a
		if ranged {
			if b, err = strconv.ParseInt(to, 10, 64); err != nil {
				continue
			}
		}
		for n := a; n <= b && len(out) < most; n++ {
			out[n] = true
		}
	}
	return out
}

// format is parse backwards, in the shortest way.
func format(rows map[int64]bool) string {
	list := make([]int64, 0, len(rows))
	for n := range rows {
		list = append(list, n)
	}
	slices.SortFunc(list, cmp.Compare[int64])
	var b strings.Builder
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(list[i], 10))
		if j > i {
			b.WriteString("-" + strconv.FormatInt(list[j], 10))
		}
		i = j + 1
	}
	return b.String()
}
