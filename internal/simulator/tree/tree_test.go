package tree

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func (t *Tree) load(text string) error { return t.Load(strings.NewReader(text)) }

func grow(t *testing.T, o Options) *Tree {
	t.Helper()
	o.Suffixes = []string{"dc=x"}
	tr := New(o)
	for _, e := range [][]string{
		{"dc=x"}, {"cn=a,dc=x", "sn", "A"}, {"cn=b,dc=x", "manager", "cn=a,dc=x"}, {"ou=u,dc=x"}, {"cn=c,ou=u,dc=x"},
		{"cn=g,dc=x", "member", "cn=a,dc=x", "member", "cn=c,ou=u,dc=x"},
	} {
		if _, err := tr.Add(e[0], e[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	return tr
}

func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryEditHasANumberAndATime(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	tr := grow(t, Options{Links: Silent, Now: func() time.Time { return now }, Number: 100})
	if tr.Number() != 106 || tr.Find("dc=x").Created != 101 {
		t.Errorf("after six entries the number is %d", tr.Number())
	}
	changes, moved := tr.Since(0)
	seq := changes[len(changes)-1].Seq
	now = now.Add(time.Hour)
	try(t, tr.Modify("cn=a,dc=x", Replace("sn", "B")))
	<-moved
	try(t, tr.Rename("cn=a,dc=x", "cn=aa", true, nil))
	try(t, tr.Whisper("cn=b,dc=x", Replace("sn", "B")))
	try(t, tr.Delete("cn=aa,dc=x"))
	changes, _ = tr.Since(seq)
	type told struct {
		kind   Kind
		number int64
		dn     string
	}
	var got []told
	for _, c := range changes {
		got = append(got, told{c.Kind, c.Number, c.Entry().DN})
	}
	want := []told{{Modified, 107, "cn=a,dc=x"}, {Renamed, 108, "cn=aa,dc=x"}, {Modified, 0, "cn=b,dc=x"}, {Modified, 0, "cn=g,dc=x"},
		{Modified, 0, "cn=b,dc=x"}, {Deleted, 109, "cn=aa,dc=x"}, {Modified, 0, "cn=b,dc=x"}, {Modified, 0, "cn=g,dc=x"}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if changes[0].Before.First("sn") != "A" || changes[0].After.First("sn") != "B" || !changes[0].After.ChangedAt.Equal(now) || changes[0].After.CreatedAt.Equal(now) {
		t.Errorf("the first change is %+v", changes[0])
	}
	if n := len(tr.Stamped(107)); n != 2 {
		t.Errorf("%d changes have a number above 107", n)
	}
	if last := tr.Last(); last.Number != 109 || last.Kind != Deleted {
		t.Errorf("the last change is %+v", last)
	}
}

func TestLinksToWhatIsRenamedOrDeleted(t *testing.T) {
	for _, x := range []struct {
		name    string
		links   Links
		renamed string // what the group names then
		stamped bool
		left    int // members after a deletion
	}{
		{"left alone", Leave, "cn=a,dc=x", false, 2},
		{"changed in silence", Silent, "cn=aa,dc=x", false, 1},
		{"changed aloud", Loud, "cn=aa,dc=x", true, 1},
	} {
		t.Run(x.name, func(t *testing.T) {
			tr := grow(t, Options{Links: x.links})
			was := tr.Find("cn=g,dc=x")
			try(t, tr.Rename("cn=a,dc=x", "cn=aa", true, nil))
			is := tr.Find("cn=g,dc=x")
			if is.First("member") != x.renamed || (is.Changed != was.Changed) != x.stamped {
				t.Errorf("after a rename: %q, stamped %v", is.Get("member"), is.Changed != was.Changed)
			}
			if tr.Find("cn=b,dc=x").First("manager") != x.renamed {
				t.Errorf("the manager is %q", tr.Find("cn=b,dc=x").First("manager"))
			}
			try(t, tr.Delete("cn=aa,dc=x"))
			if n := len(tr.Find("cn=g,dc=x").Get("member")); n != x.left {
				t.Errorf("after a deletion there are %d members", n)
			}
			away := "ou=v,dc=x"
			try(t, tr.Rename("ou=u,dc=x", "ou=v", true, nil))
			if e := tr.Find("cn=c," + away); e == nil || x.links != Leave && !slices.Contains(tr.Find("cn=g,dc=x").Get("member"), "cn=c,"+away) {
				t.Errorf("below what was renamed: %v, %q", e, tr.Find("cn=g,dc=x").Get("member"))
			}
		})
	}
}

func TestWhoComesIntoAGroupIsStamped(t *testing.T) {
	tr := grow(t, Options{Echo: "memberof"})
	was := tr.Find("cn=b,dc=x").Changed
	try(t, tr.Modify("cn=g,dc=x", Plus("member", "cn=b,dc=x")))
	in := tr.Find("cn=b,dc=x").Changed
	try(t, tr.Delete("cn=g,dc=x"))
	if out := tr.Find("cn=b,dc=x").Changed; was >= in || in >= out {
		t.Errorf("stamped %d, %d, %d", was, in, out)
	}
}

func TestTreesMadeAlikeAreAlike(t *testing.T) {
	a, b, c := grow(t, Options{Seed: 1}), grow(t, Options{Seed: 1}), grow(t, Options{Seed: 2})
	id := a.Find("cn=a,dc=x").UUID
	if id != b.Find("cn=a,dc=x").UUID || id == c.Find("cn=a,dc=x").UUID {
		t.Error("the seed does not decide the UUIDs")
	}
	text := FormatUUID(id)
	if back, ok := ParseUUID(text); !ok || back != id || text[14] != '4' {
		t.Errorf("%s is read as %x, %v", text, back, ok)
	}
	for _, bad := range []string{"", "x", text + "0", strings.ReplaceAll(text, "-", "x")} {
		if _, ok := ParseUUID(bad); ok {
			t.Errorf("%q is taken for a UUID", bad)
		}
	}
	if a.ByUUID(id).DN != "cn=a,dc=x" || a.ByUUID([16]byte{}) != nil {
		t.Error("found otherwise by UUID")
	}
}

func TestAnEditThatCannotBeMadeChangesNothing(t *testing.T) {
	tr := grow(t, Options{})
	number := tr.Number()
	above := "cn=nowhere,dc=x"
	_, twice := tr.Add("CN=A,dc=x")
	_, orphan := tr.Add("cn=z,ou=nowhere,dc=x")
	_, noDN := tr.Add("nonsense")
	_, same := tr.Add("cn=z,dc=x", "sn", "a", "sn", "A")
	for _, x := range []struct {
		name string
		err  error
		code int
	}{
		{"added twice", twice, 68}, {"added below nothing", orphan, 32}, {"no DN", noDN, 34}, {"a value twice", same, 20},
		{"changed and not there", tr.Modify("cn=z,dc=x", Plus("sn", "x")), 32},
		{"an attribute that is not there", tr.Modify("cn=a,dc=x", Minus("title")), 16},
		{"counted up what is no number", tr.Modify("cn=a,dc=x", Mod{Increment, "sn", []string{"1"}}), 16},
		{"moved below nothing", tr.Rename("cn=a,dc=x", "cn=a", true, &above), 32},
		{"an RDN that is none", tr.Rename("cn=a,dc=x", "a", true, nil), 34},
		{"an RDN of two parts", tr.Rename("cn=a,dc=x", "cn=a,cn=b", true, nil), 34},
		{"deleted with children", tr.Delete("ou=u,dc=x"), 66},
		{"restored what was never there", tr.Restore([16]byte{1}, "cn=z,dc=x"), 32},
	} {
		e, ok := x.err.(*Error) //nolint:errorlint // the tree wraps none of its errors
		if !ok || e.Code != x.code {
			t.Errorf("%s: %v, want code %d", x.name, x.err, x.code)
		}
	}
	if tr.Number() != number {
		t.Error("something was changed")
	}
}

func TestTimesAndNumbersCompareAsWhatTheyAre(t *testing.T) {
	for _, x := range []struct {
		syntax Syntax
		a, b   string
		order  int
	}{
		{Integer, "9", "10", -1}, {Integer, "-1", "1", -1}, {Integer, "007", "7", 0},
		{Time, "20261121120000Z", "20261121120000.0Z", 0}, {Time, "202611211200Z", "20261121120001Z", -1}, {Time, "20261121130000+0100", "20261121120000Z", 0},
		{Text, "anna", "BO", -1}, {Text, "Anna  Ames", "anna ames", 0}, {Exact, "B", "a", -1}, {Name, "CN=a, DC=x", "cn=A,dc=x", 0},
	} {
		if got := x.syntax.order(x.a, x.b); got != x.order || x.syntax.Equal(x.a, x.b) != (x.order == 0) {
			t.Errorf("%q and %q compare %d", x.a, x.b, got)
		}
	}
}
