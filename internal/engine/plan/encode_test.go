package plan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
)

// changes are one of each kind.
func changes() []Change {
	created := whole("1")
	created.ID, created.Organization = newID, "sunfix"
	bare := &account.Account{ID: boID, Organization: "sunfix", Connection: "hq", ExternalID: "B", Status: account.Active}
	all := Everything(whole("1"))
	return []Change{
		{Action: Create, Target: Account, Account: newID, Key: directory.KeyOf(directory.User, "x"), ExternalID: "x1", Name: "cn=Ä,dc=x", After: created, Secret: true, Why: "new in the directory"},
		{Action: Create, Target: Account, Account: boID, ExternalID: "B", Name: "cn=bo", After: bare, Why: "new"},
		{Action: Update, Target: Account, Account: annaID, Version: 7, Fields: all, Before: all.Only(whole("1")), After: all.Only(whole("2")), Name: "cn=anna", Why: "changed"},
		{Action: Update, Target: Account, Account: annaID, Version: 8, Fields: Text(account.Title) | FieldManager,
			Before: (FieldManager).Only(whole("1")), After: Text(account.Title).Only(whole("2")), Why: "emptied and filled: <&> \u2028 \"quoted\" \n 王伟 é e\u0301 \U0001F600"},
		{Action: Update, Target: Account, Account: annaID, Version: 9, Before: &account.Account{}, After: &account.Account{}, Secret: true, Why: "a password alone"},
		{Action: Disable, Target: Account, Account: annaID, Version: 10, Fields: FieldStatus, Before: &account.Account{Status: account.Active}, After: &account.Account{Status: account.Disabled, Cause: account.ByAbsence}},
		{Action: Create, Target: Group, Group: account.NewID("g"), Key: directory.KeyOf(directory.Group, "g"), ExternalID: "g", Name: "cn=g", GroupName: [2]string{"", "Größe"}, Why: "new in the directory"},
		{Action: Update, Target: Group, Group: account.NewID("g"), Version: 1, GroupName: [2]string{"Größe", "Size"}},
		{Action: Delete, Target: Group, Group: account.NewID("g"), Version: 2, GroupName: [2]string{"Size", ""}},
		{Action: Add, Target: Membership, Group: account.NewID("g"), Members: []account.ID{annaID, boID, newID}, Name: "cn=g"},
		{Action: Remove, Target: Membership, Group: account.NewID("g"), Members: []account.ID{annaID}},
	}
}

// written is a stream's chunks and its hash.
type written struct {
	bodies [][]byte
	firsts []int64
	hash   string
}

func write(t *testing.T, basis string, list []Change) written {
	t.Helper()
	var out written
	w := NewWriter([]byte(basis), func(c Chunk) error {
		if c.Seq != len(out.bodies) {
			t.Errorf("chunk %d comes after %d others", c.Seq, len(out.bodies))
		}
		out.bodies, out.firsts = append(out.bodies, bytes.Clone(c.Body)), append(out.firsts, c.First)
		held := map[string]bool{}
		changes, err := Changes(c.Body)
		for i := range changes {
			held[kindOf(changes[i].Action, changes[i].Target)] = true
			only := Narrow{Actions: []Action{changes[i].Action}, Target: changes[i].Target}
			if !only.MayHold(c.Kinds) {
				t.Errorf("chunk %d of %q would be passed by, which holds %s %s", c.Seq, c.Kinds, changes[i].Action, changes[i].Target)
			}
		}
		if err != nil || len(held) != strings.Count(c.Kinds, ",")+1 {
			t.Errorf("chunk %d says it holds %q, and holds %v (%v)", c.Seq, c.Kinds, held, err)
		}
		return nil
	})
	for i := range list {
		if err := w.Write(&list[i]); err != nil {
			t.Fatal(err)
		}
	}
	count, hash, err := w.Close()
	if err != nil || count != len(out.bodies) || w.Count() != count {
		t.Fatalf("%d chunks, %d kept: %v", count, len(out.bodies), err)
	}
	out.hash = hash
	return out
}

func (w written) read(t *testing.T) []Change {
	t.Helper()
	var out []Change
	for _, body := range w.bodies {
		list, err := Changes(body)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, list...)
	}
	return out
}

func TestAPlanComesBackAsItWasWritten(t *testing.T) {
	list := changes()
	got := write(t, "basis", list).read(t)
	if len(got) != len(list) {
		t.Fatalf("%d changes, want %d", len(got), len(list))
	}
	for i := range list {
		want := list[i]
		if want.Action == Create && want.Target == Account {
			got[i].Fields = want.Fields // a created account has all of them; the set is how that is kept
		}
		if !reflect.DeepEqual(got[i], want) {
			t.Errorf("%+v\nwant\n%+v\nbefore %+v, want %+v\nafter %+v, want %+v", got[i], want, got[i].Before, want.Before, got[i].After, want.After)
		}
	}
}

func TestRowsAreNumberedThroughTheWholePlan(t *testing.T) {
	list := changes()
	write(t, "basis", list)
	var got []int64
	for _, c := range list {
		got = append(got, c.Seq)
	}
	if want := []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v: each membership is a row", got, want)
	}
}

// people makes n updates.
func updates(n int) []Change {
	out := make([]Change, n)
	for i := range out {
		out[i] = Change{Action: Update, Target: Account, Account: account.NewID(fmt.Sprint(i)), Version: 1, Fields: Text(account.Title),
			Before: &account.Account{}, After: Text(account.Title).Only(whole(fmt.Sprint(i))), Name: fmt.Sprint("cn=", i)}
	}
	return out
}

func TestALongPlanIsKeptInChunks(t *testing.T) {
	list := updates(2*ChunkRows + 1)
	w := write(t, "basis", list)
	if want := []int64{1, ChunkRows + 1, 2*ChunkRows + 1}; !slices.Equal(w.firsts, want) {
		t.Errorf("chunks begin with rows %v, want %v", w.firsts, want)
	}
	got := w.read(t)
	for i := range list {
		if got[i].Seq != int64(i+1) || got[i].Name != list[i].Name {
			t.Fatalf("row %d is %+v", i+1, got[i])
		}
	}
	if empty := write(t, "basis", nil); len(empty.bodies) != 0 || empty.hash == "" {
		t.Errorf("an empty plan has %d chunks and the hash %q", len(empty.bodies), empty.hash)
	}
}

func TestAGroupOfManyStaysInOneChunk(t *testing.T) {
	members := make([]account.ID, 8*ChunkRows) // each counts for an eighth
	for i := range members {
		members[i] = account.NewID(fmt.Sprint(i))
	}
	list := []Change{{Action: Add, Target: Membership, Group: account.NewID("g"), Members: members}, updates(1)[0]}
	w := write(t, "basis", list)
	if len(w.bodies) != 2 || list[1].Seq != int64(len(members)+1) || !slices.Equal(w.read(t)[0].Members, members) {
		t.Errorf("%d chunks, the next row is %d", len(w.bodies), list[1].Seq)
	}
}

func TestTheHashIsOfWhatIsInThePlan(t *testing.T) {
	base := write(t, "basis", changes())
	if again := write(t, "basis", changes()); again.hash != base.hash || !slices.EqualFunc(again.bodies, base.bodies, bytes.Equal) {
		t.Error("the same plan twice is not the same")
	}
	seen := map[string]string{base.hash: "the plan itself"}
	for name, change := range map[string]func(list []Change) (string, []Change){
		"another basis":   func(l []Change) (string, []Change) { return "basis2", l },
		"a row less":      func(l []Change) (string, []Change) { return "basis", l[:len(l)-1] },
		"another order":   func(l []Change) (string, []Change) { slices.Reverse(l); return "basis", l },
		"another value":   func(l []Change) (string, []Change) { l[0].After.Text[account.Title] = "x"; return "basis", l },
		"another why":     func(l []Change) (string, []Change) { l[0].Why = "x"; return "basis", l },
		"another version": func(l []Change) (string, []Change) { l[2].Version = 99; return "basis", l },
		"another member":  func(l []Change) (string, []Change) { l[9].Members[1] = newID; return "basis", l },
		"another cause":   func(l []Change) (string, []Change) { l[5].After.Cause = account.ByEntry; return "basis", l },
		"a password less": func(l []Change) (string, []Change) { l[4].Secret = false; return "basis", l },
	} {
		basis, list := change(changes())
		hash := write(t, basis, list).hash
		if other, ok := seen[hash]; ok {
			t.Errorf("%s has the hash of %s", name, other)
		}
		seen[hash] = name
	}
}

func TestVerifyFindsTheHashFromTheChunks(t *testing.T) {
	list := append(changes(), updates(ChunkRows)...)
	w := write(t, "basis", list)
	verify := func(basis string, bodies [][]byte) string {
		v := NewVerify([]byte(basis))
		for _, body := range bodies {
			v.Add(body)
		}
		return v.Hash()
	}
	if got := verify("basis", w.bodies); got != w.hash {
		t.Errorf("%s, want %s", got, w.hash)
	}
	for name, got := range map[string]string{
		"another basis": verify("other", w.bodies), "a chunk less": verify("basis", w.bodies[:1]),
		"chunks in another order": verify("basis", [][]byte{w.bodies[1], w.bodies[0]}), "a chunk cut off": verify("basis", [][]byte{w.bodies[0][:50], w.bodies[1]}),
	} {
		if got == w.hash {
			t.Errorf("%s is not noticed", name)
		}
	}
}

func TestADamagedChunkIsAnError(t *testing.T) {
	line := func(text string) []byte { return compress([]byte(text + "\n")) }
	good := write(t, "basis", changes()).bodies[0]
	update := updates(1)[0]
	encoded := AppendChange(nil, &update)
	one := (&changeReader{text: string(encoded)}).string()
	for _, c := range []struct {
		name string
		body []byte
	}{
		{"nothing", nil},
		{"not compressed", []byte("{}\n")},
		{"cut off", good[:len(good)/2]},
		{"the first byte changed", append([]byte{good[0] ^ 0xff}, good[1:]...)},
		{"no change", line("garbage")},
		{"half a change", compress(encoded[:len(encoded)/2])},
		{"a byte too many in a change", compress(appendText(nil, one+"x"))},
		{"a byte too few", compress(appendText(nil, one[:len(one)-1]))},
		{"an update without what was before", compress(AppendChange(nil, &Change{Action: Update, Target: Account, After: &account.Account{}}))},
		{"a creation without an account", compress(AppendChange(nil, &Change{Action: Update, Target: Account}))},
		{"more members than there are bytes", compress(appendText(nil, "\x01\x00\x00\x00\x03add\x0amembership\x00\x00\x00\x00\xff\xff\xff\x7f"))},
	} {
		t.Run(c.name, func(t *testing.T) {
			if list, err := Changes(c.body); err == nil || !strings.Contains(err.Error(), "damaged") || fault.HintOf(err) == "" {
				t.Errorf("%+v, %v", list, err)
			}
		})
	}
	for _, body := range [][]byte{nil, []byte("x"), line("garbage"), line(`{"key":"x"}`)} {
		if list, err := Notes(body); err == nil {
			t.Errorf("notes of garbage: %+v", list)
		}
	}
}

func FuzzChunk(f *testing.F) {
	for i := range changes() {
		c := changes()[i]
		f.Add(AppendChange(nil, &c))
	}
	f.Add([]byte(`{"kind":"dispute","key":[1,2],"due_at":"2026-03-01T09:00:00Z"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		// As it is, and as the text of a chunk.
		for _, body := range [][]byte{text, compress(text)} {
			if list, err := Changes(body); err == nil {
				for i := range list {
					if list[i].Target == Account && (list[i].After == nil || list[i].Before == nil && list[i].Action != Create) {
						t.Fatalf("%q is read as %+v, which apply would stumble over", text, list[i])
					}
					if err := list[i].Each(func(Row) error { return nil }); err != nil && !strings.Contains(err.Error(), "json") {
						t.Fatalf("%q: %v", text, err)
					}
				}
			}
			_, _ = Notes(body) // must not panic; garbage is an error
		}
	})
}

func TestNotesComeBackAsTheyWereWritten(t *testing.T) {
	want := []Note{
		{Kind: Dispute, Key: directory.KeyOf(directory.User, "x"), Name: "cn=Ä", ExternalID: "x", Account: annaID, Text: `A and B both claim "x"`},
		{Kind: Due, DueAt: now.Add(time.Hour)},
		{Kind: Refused, Action: Disable, Carried: true, Text: "no"},
	}
	bodies := map[string][]byte{}
	w := NewWriter(nil, func(c Chunk) error { bodies["stream"] = c.Body; return nil })
	for i := range want {
		if err := w.WriteNote(&want[i]); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := NewNotes(func(c Chunk) error { bodies["one chunk"] = c.Body; return nil }, want); err != nil {
		t.Fatal(err)
	}
	for name, body := range bodies {
		if got, err := Notes(body); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if len(bodies) != 2 {
		t.Errorf("%d chunks of notes", len(bodies))
	}
}

func TestAStoreThatFailsEndsTheStream(t *testing.T) {
	full := errors.New("the disk is full")
	w := NewWriter(nil, func(Chunk) error { return full })
	list := updates(3 * ChunkRows)
	var err error
	for i := range list {
		if err = w.Write(&list[i]); err != nil {
			break
		}
	}
	if !errors.Is(err, full) {
		t.Errorf("three chunks on: %v", err)
	}
	w = NewWriter(nil, func(Chunk) error { return full })
	if err := w.Write(&list[0]); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Close(); !errors.Is(err, full) {
		t.Errorf("closing: %v", err)
	}
	w.Stop()
}

func TestAStreamCanBeReadSoFar(t *testing.T) {
	kept := 0
	w := NewWriter(nil, func(c Chunk) error {
		list, err := Changes(c.Body)
		kept += len(list)
		return err
	})
	list := updates(5)
	for i := range list {
		if err := w.Write(&list[i]); err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			if err := w.Flushed(func() error {
				if kept != 3 {
					t.Errorf("%d of 3 are kept", kept)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Flushed(func() error { return io.EOF }); !errors.Is(err, io.EOF) {
		t.Errorf("an error of the reader is lost: %v", err)
	}
	if n, _, err := w.Close(); n != 2 || kept != 5 || err != nil {
		t.Errorf("%d chunks, %d kept, %v", n, kept, err)
	}
}
