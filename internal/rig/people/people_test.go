package people_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/language"

	"rollcall.dev/rollcall/internal/rig/openldap"
	"rollcall.dev/rollcall/internal/rig/people"
)

// entries reads LDIF back: attribute names in lower case to values.
func entries(t *testing.T, text string) []map[string][]string {
	t.Helper()
	var all []map[string][]string
	for block := range strings.SplitSeq(strings.TrimSuffix(text, "\n\n"), "\n\n") {
		e := map[string][]string{}
		for line := range strings.SplitSeq(block, "\n") {
			name, value, ok := strings.Cut(line, ": ")
			if !ok {
				t.Fatalf("not a line of LDIF: %q", line)
			}
			if plain, encoded := strings.CutSuffix(name, ":"); encoded {
				b, err := base64.StdEncoding.DecodeString(value)
				if err != nil {
					t.Fatal(err)
				}
				name, value = plain, string(b)
			}
			e[name] = append(e[name], value)
		}
		all = append(all, e)
	}
	return all
}

func TestTheSameOptionsGiveTheSameBytes(t *testing.T) {
	o := people.Options{People: 300, Groups: 20, Broken: 12, Seed: 7}
	var a, b bytes.Buffer
	s, err := people.Write(&a, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := people.Write(&b, o); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two runs differ")
	}
	if s.People != 300 || s.Groups != 20 || s.NoMail != 2 || s.BadPhone != 2 || s.BadLanguage != 2 || s.SameMail != 2 || s.LostManager != 2 || s.ManagerCycle != 2 {
		t.Errorf("got %+v", s)
	}
	if got := len(entries(t, a.String())); got != s.Entries {
		t.Errorf("%d entries written, %d counted", got, s.Entries)
	}
}

func TestSoundPeopleAreSound(t *testing.T) {
	var b bytes.Buffer
	if _, err := people.Write(&b, people.Options{People: 2000, Groups: 30}); err != nil {
		t.Fatal(err)
	}
	dns, seen, unicode, memberships := map[string]bool{}, map[string]bool{}, 0, 0
	all := entries(t, b.String())
	for _, e := range all {
		dns[e["dn"][0]] = true
	}
	for _, e := range all {
		for _, m := range append(e["member"], e["manager"]...) {
			if !dns[m] {
				t.Errorf("%q is not in the directory", m)
			}
		}
		inGroup := map[string]bool{}
		for _, m := range e["member"] {
			if inGroup[m] {
				t.Errorf("%q is twice in %q", m, e["dn"])
			}
			inGroup[m] = true
			memberships++
		}
		if e["uid"] == nil {
			continue
		}
		for _, one := range []string{e["uid"][0], e["mail"][0], e["entryUUID"][0], e["dn"][0]} {
			if seen[one] {
				t.Errorf("%q stands twice", one)
			}
			seen[one] = true
		}
		if strings.IndexFunc(e["cn"][0], func(r rune) bool { return r > 127 }) >= 0 {
			unicode++
		}
		if a, err := mail.ParseAddress(e["mail"][0]); err != nil || a.Address != e["mail"][0] {
			t.Errorf("mail %q: %v", e["mail"][0], err)
		}
		if _, err := language.Parse(e["preferredLanguage"][0]); err != nil {
			t.Errorf("language %q: %v", e["preferredLanguage"][0], err)
		}
		for _, name := range []string{"mobile", "telephoneNumber"} {
			n, err := phonenumbers.Parse(e[name][0], "")
			if err != nil || !phonenumbers.IsValidNumber(n) || len(e[name][0]) >= 20 {
				t.Errorf("%s %q: %v", name, e[name][0], err)
			}
		}
	}
	if unicode < 1000 {
		t.Errorf("only %d of 2,000 names are not ASCII", unicode)
	}
	if memberships < 2000 {
		t.Errorf("only %d memberships", memberships)
	}
}

func TestAThousandGroupsHaveTheMembershipsOfTheTargets(t *testing.T) {
	s, err := people.Write(io.Discard, people.Options{People: 10_000, Groups: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if s.Memberships < 340_000 || s.Memberships > 400_000 {
		t.Errorf("%d memberships, want about 373,000", s.Memberships)
	}
}

func TestAServerLoadsTheDirectoryAndTakesTheChanges(t *testing.T) {
	o := people.Options{People: 400, Groups: 10, Broken: 6}
	path := filepath.Join(t.TempDir(), "people.ldif")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := people.Write(f, o); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := openldap.Start(t.Context(), openldap.Options{LDIF: path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	for round := range 3 {
		var changes bytes.Buffer
		c, err := people.Changes(&changes, o, 100, round)
		if err != nil {
			t.Fatal(err)
		}
		if c != (people.Changed{Titles: 84, Leavers: 6, Joiners: 6, Renames: 4}) {
			t.Errorf("got %+v", c)
		}
		if err := s.Modify(changes.String()); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	if _, err := people.Changes(io.Discard, o, 100, 4); err == nil {
		t.Error("a fifth round needs more people than there are")
	}
}
