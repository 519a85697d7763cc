package people

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
)

// person makes one for charts: "name>manager", and " left" or " disabled" behind it.
func person(text string) Person {
	text, state, _ := strings.Cut(text, " ")
	name, manager, _ := strings.Cut(text, ">")
	p := Person{ID: id(name), Name: name, key: name, Organization: "org", Status: account.Active}
	if manager != "" {
		p.Manager = id(manager)
	}
	switch state {
	case "left":
		p.Left, p.Status = true, account.Deleted
	case "disabled":
		p.Status = account.Disabled
	case "elsewhere":
		p.Organization = "other"
	}
	return p
}

func id(name string) account.ID { return account.NewID(name) }

func chart(texts ...string) *Chart {
	list := make([]Person, len(texts))
	for i, text := range texts {
		list[i] = person(text)
	}
	slices.SortFunc(list, byName)
	return (&Picture{0, &body{list: list}}).Chart()
}

// drawn is a tree as text: name/reports/below, with the children in brackets.
func drawn(nodes []Node) string {
	var b strings.Builder
	for i, n := range nodes {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s/%d/%d", n.Name, n.Reports, n.Below)
		if n.Cycle {
			b.WriteByte('!')
		}
		if n.More > 0 {
			fmt.Fprintf(&b, "+%d", n.More)
		}
		if len(n.Children) > 0 {
			b.WriteString("[" + drawn(n.Children) + "]")
		}
	}
	return b.String()
}

func TestWhoIsBelowWhom(t *testing.T) {
	for _, c := range []struct {
		name   string
		people []string
		want   string
		roots  int
	}{
		{"nobody", nil, "", 0},
		{"a boss and two", []string{"boss", "b>boss", "a>boss"}, "boss/2/2[a/0/0 b/0/0]", 1},
		{"who leads many comes first", []string{"a", "boss", "b>boss", "z", "y>z", "x>y"}, "z/1/2[y/1/1[x/0/0]] boss/1/1[b/0/0] a/0/0", 3},
		{"a manager who left leaves tops behind", []string{"boss left", "a>boss", "b>a"}, "a/1/1[b/0/0]", 1},
		{"a manager nobody knows", []string{"a>nobody"}, "a/0/0", 1},
		{"a manager of another organization", []string{"far elsewhere", "a>far"}, "a/0/0 far/0/0", 2},
		{"somebody disabled who leads somebody stays", []string{"boss disabled", "a>boss"}, "boss/1/1[a/0/0]", 1},
		{"somebody disabled at the top who leads nobody is no root", []string{"boss disabled", "a"}, "a/0/0", 1},
		{"somebody disabled in the middle counts", []string{"boss", "a>boss disabled", "b>a"}, "boss/1/2[a/1/1[b/0/0]]", 1},
		{"oneself", []string{"a>a", "b>a"}, "a/1/1![b/0/0]", 1},
		{"two who lead each other", []string{"b>a", "a>b", "c>b"}, "a/1/2![b/1/1[c/0/0]]", 1},
		{"a cycle beside a tree", []string{"boss", "x>boss", "a>c", "b>a", "c>b", "d>c"}, "a/1/3![b/1/2[c/1/1+1]] boss/1/1[x/0/0]", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			nodes, roots := chart(c.people...).Roots(3, 0, 10, 100)
			if got := drawn(nodes); got != c.want || roots != c.roots {
				t.Errorf("%s of %d, want %s of %d", got, roots, c.want, c.roots)
			}
		})
	}
}

func TestAChartIsShownPieceByPiece(t *testing.T) {
	var people []string
	for i := range 5 {
		people = append(people, fmt.Sprintf("r%d", i), fmt.Sprintf("c%d>r0", i), fmt.Sprintf("d%d>c0", i))
	}
	c := chart(people...)
	for _, p := range []struct {
		name                       string
		depth, offset, limit, most int
		want                       string
	}{
		{"everything", 3, 0, 10, 100, "r0/5/10[c0/5/5[d0/0/0 d1/0/0 d2/0/0 d3/0/0 d4/0/0] c1/0/0 c2/0/0 c3/0/0 c4/0/0] r1/0/0 r2/0/0 r3/0/0 r4/0/0"},
		{"one level", 1, 0, 10, 100, "r0/5/10+5 r1/0/0 r2/0/0 r3/0/0 r4/0/0"},
		{"two of each", 3, 0, 2, 100, "r0/5/10+3[c0/5/5+3[d0/0/0 d1/0/0] c1/0/0] r1/0/0"},
		{"the rest", 1, 3, 10, 100, "r3/0/0 r4/0/0"},
		{"behind the end", 1, 9, 10, 100, ""},
		{"the lowest are left out where there are too many", 3, 0, 10, 8, "r0/5/10+2[c0/5/5+5 c1/0/0 c2/0/0] r1/0/0 r2/0/0 r3/0/0 r4/0/0"},
	} {
		nodes, _ := c.Roots(p.depth, p.offset, p.limit, p.most)
		if got := drawn(nodes); got != p.want {
			t.Errorf("%s: %s, want %s", p.name, got, p.want)
		}
	}
	for _, p := range []struct {
		name          string
		depth, offset int
		want          string
	}{
		{"oneself", 0, 0, "c0/5/5+5"}, {"two of those below", 1, 0, "c0/5/5+3[d0/0/0 d1/0/0]"}, {"the last", 1, 4, "c0/5/5[d4/0/0]"}, {"behind the last", 1, 7, "c0/5/5"},
	} {
		n, ok := c.Below(id("c0"), p.depth, p.offset, 2, 100)
		if got := drawn([]Node{n}); got != p.want || !ok {
			t.Errorf("%s: %s, want %s", p.name, got, p.want)
		}
	}
	if _, ok := c.Below(id("nobody"), 1, 0, 10, 10); ok {
		t.Error("nobody is somebody")
	}
}

func TestTheWayUpEnds(t *testing.T) {
	c := chart("boss", "a>boss", "b>a", "x>z", "y>x", "z>y", "low>z", "gone>a left")
	for _, p := range []struct {
		of, want string
		most     int
		cycle    bool
	}{
		{"b", "b a boss +0", 9, false}, {"boss", "boss +0", 9, false}, {"b", "b a +1", 2, false}, {"low", "low z y x +0", 9, true}, {"x", "x +0", 9, true}, {"gone", "", 9, false}, {"nobody", "", 9, false},
	} {
		path, more, cycle, ok := c.Path(id(p.of), p.most)
		got := ""
		for _, n := range path {
			got += n.Name + " "
		}
		if ok {
			got += fmt.Sprintf("+%d", more)
		}
		if got != p.want || cycle != p.cycle {
			t.Errorf("above %s: %s (%v), want %s (%v)", p.of, got, cycle, p.want, p.cycle)
		}
	}
	if cycles := c.Cycles(); len(cycles) != 1 || drawn(cycles[0][:1]) != "x/1/3!+1" || len(cycles[0]) != 3 {
		t.Errorf("%v", cycles)
	}
}

// No shape of an organization is too deep, too wide or too round.
func TestGreatCharts(t *testing.T) {
	const n = 10_000
	var deep, wide, round []string
	deep, wide = []string{"p00000"}, []string{"p00000"}
	for i := 1; i < n; i++ {
		deep = append(deep, fmt.Sprintf("p%05d>p%05d", i, i-1))
		wide = append(wide, fmt.Sprintf("p%05d>p00000", i))
	}
	for i := range n {
		round = append(round, fmt.Sprintf("p%05d>p%05d", i, (i+1)%n))
	}
	for name, people := range map[string][]string{"deep": deep, "wide": wide, "round": round} {
		c := chart(people...)
		nodes, roots := c.Roots(2, 0, 200, 2000)
		if roots != 1 || nodes[0].Below != n-1 || nodes[0].Name != "p00000" {
			t.Errorf("%s: %d roots, %d below", name, roots, nodes[0].Below)
		}
		if name == "wide" && (len(nodes[0].Children) != 200 || nodes[0].More != n-1-200) {
			t.Errorf("%d children and %d more", len(nodes[0].Children), nodes[0].More)
		}
		lowest := map[string]string{"deep": "p09999", "wide": "p09999", "round": "p00001"}[name]
		path, more, cycle, ok := c.Path(id(lowest), 1000)
		if want := map[string]int{"deep": n, "wide": 2, "round": n}[name]; !ok || len(path)+more != want || cycle != (name == "round") {
			t.Errorf("%s: the way up from %s has %d steps, want %d", name, lowest, len(path)+more, want)
		}
	}
}

func TestHowNamesAreSearched(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"case", "Anna AMES", "anna ames"},
		{"accents", "Zoë Émile Çelik", "zoe emile celik"},
		{"accents in two characters", "Zoe\u0308", "zoe"},
		{"umlauts", "Jörg Müller", "jorg muller"},
		{"sharp s", "Straße", "strasse"},
		{"letters that are one", "Søren Łukasz Æsa", "soren lukasz aesa"},
		{"Turkish", "Işık İrem", "isik irem"},
		{"wide letters", "Ａｎｎａ", "anna"},
		{"spaces and lines", " Anna \n\t Ames ", "anna ames"},
		{"Greek", "Ὀδυσσεύς", "οδυσσευσ"},
		{"Chinese", "王伟", "王伟"},
		{"nothing", " ", ""},
	} {
		if got := Plain(c.in); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func FuzzPlain(f *testing.F) {
	for _, s := range []string{"Anna", "Jörg", "Straße", "İ", "\xff", "ﷺ", "ⅷ", " \u00a0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Plain(s)
		if strings.ContainsAny(got, "\n\t") || got != strings.TrimSpace(got) {
			t.Fatalf("%q is searched as %q", s, got)
		}
		if search := Plain(s); search != "" && fit(lines("id", "x", s, "", "", "", ""), search, strings.Fields(search)) == none && s != "x" {
			t.Fatalf("%q does not find itself", s)
		}
	})
}

func TestHowWellSomebodyFits(t *testing.T) {
	text := lines("0000-id", "amuel", "anna.mueller@example.org", "Anna Müller", "Dr. Anna Müller-Lüdenscheidt", "EXT-77", `{"badge":"B 4711","teams":["Été","x"],"n":7}`)
	for search, want := range map[string]int{
		"amuel": whole, "Anna Müller": whole, "anna mueller": whole, "ANNA MULLER": whole, "ext-77": whole, "b 4711": whole, "ete": whole,
		"anna": beginning, "amu": beginning, "ext": beginning, "0000": beginning, "müller": word, "mueller": word, "example": word, "ludenscheidt": word, "4711": word,
		"uller": inside, "711": inside, "muller anna": scattered, "anna 4711": scattered, "org dr": scattered, "anna zoe": none, "zoe": none, "badge": none, "\n": whole,
	} {
		search := Plain(search)
		if search == "" {
			continue
		}
		if got := fit(text, search, strings.Fields(search)); got != want {
			t.Errorf("%q fits as %d, want %d", search, got, want)
		}
	}
}

func TestTheBestFitComesFirstAndPagesGoOn(t *testing.T) {
	var list []Person
	add := func(name string, left bool) {
		list = append(list, Person{ID: id(name), Name: name, key: Plain(name), text: lines("", name, "", "", "", "", ""), Left: left, Status: account.Active})
	}
	for _, name := range []string{"Joanna", "Anna Ames", "Anna", "Hanna", "Lou Anna", "Bo"} {
		add(name, false)
	}
	add("Anna Zorn", true)
	slices.SortFunc(list, byName)
	p := &Picture{0, &body{list: list}}
	names := func(ids []account.ID) string {
		var out []string
		for _, one := range ids {
			i := slices.IndexFunc(list, func(p Person) bool { return p.ID == one })
			out = append(out, list[i].Name)
		}
		return strings.Join(out, ", ")
	}
	const want = "Anna, Anna Ames, Lou Anna, Hanna, Joanna, Anna Zorn"
	ids, _ := p.Find(Query{Search: "anna", Limit: -1})
	if got := names(ids); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	var pieces []account.ID
	for after := (*Place)(nil); ; {
		ids, places := p.Find(Query{Search: "anna", Limit: 1, After: after})
		if len(ids) == 0 {
			break
		}
		pieces, after = append(pieces, ids...), &places[0]
	}
	if got := names(pieces); got != want {
		t.Errorf("in pieces: %s, want %s", got, want)
	}
	if ids, _ := p.Find(Query{Limit: 2}); names(ids) != "Anna, Anna Ames" {
		t.Errorf("by name: %s", names(ids))
	}
}
