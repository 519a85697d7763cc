package store_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/accounts"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/storetest"
)

func state(t *testing.T, w *storetest.World) *accounts.State {
	t.Helper()
	st, err := w.Store.AccountTable.StateHash(t.Context(), "org", "hq")
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// computed is the hash as an application computes it from what it was given: the
// JSON of accounts and groups, with the members of the groups.
func computed(t *testing.T, w *storetest.World) string {
	t.Helper()
	var people, groups, members []string
	line := func(v any, without ...string) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var form map[string]json.RawMessage
		if err := json.Unmarshal(b, &form); err != nil {
			t.Fatal(err)
		}
		for _, name := range without {
			delete(form, name)
		}
		if b, err = json.Marshal(form); err == nil {
			b, err = account.AppendCanonical(nil, b)
		}
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	all := w.Accounts()
	for _, a := range all {
		if a.Connection != "hq" || a.Status == account.Deleted {
			continue
		}
		people = append(people, a.ID.String()+line(a, "groups", "created_at", "updated_at"))
		for _, g := range a.Groups {
			members = append(members, g.String()+" "+a.ID.String())
		}
	}
	err := w.Store.AccountTable.ListGroups(t.Context(), "org", "hq", func(g account.Group) error {
		if g.Status != account.Deleted {
			groups = append(groups, g.ID.String()+line(g, "members", "created_at", "updated_at"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	whole := sha256.New()
	for i, part := range [][]string{people, groups, members} {
		slices.Sort(part)
		h := sha256.New()
		for _, l := range part {
			if i < 2 {
				l = l[36:]
			}
			h.Write([]byte(l + "\n"))
		}
		whole.Write([]byte("sha256:" + hex.EncodeToString(h.Sum(nil)) + "\n"))
	}
	return "sha256:" + hex.EncodeToString(whole.Sum(nil))
}

func TestTheStateHashIsWhatAnApplicationComputes(t *testing.T) {
	both(t, func(t *testing.T, w *storetest.World) {
		w.Connect("hq")
		empty := state(t, w)
		if empty.Hash != computed(t, w) || empty.Accounts+empty.Groups+empty.Members != 0 {
			t.Errorf("an empty one: %+v", empty)
		}
		w.Holds("hq", storetest.Person("anna", "title=Größe <1>"), storetest.Person("bob"), storetest.Person("carl"), storetest.Group("staff", "anna", "bob"), storetest.Group("all", "carl"))
		w.Applied("hq")
		first := state(t, w)
		if first.Hash != computed(t, w) || first.Accounts != 3 || first.Groups != 2 || first.Members != 3 {
			t.Errorf("%+v, an application computes %s", first, computed(t, w))
		}
		if newest, err := w.Store.EventTable.Newest(t.Context()); err != nil || first.Event != newest {
			t.Errorf("at event %d of %d, %v", first.Event, newest, err)
		}
		// Who comes first is of no matter, nor is a run that changes nothing.
		w.Holds("hq", storetest.Group("all", "carl"), storetest.Person("carl"), storetest.Person("bob"), storetest.Group("staff", "bob", "anna"), storetest.Person("anna", "title=Größe <1>"))
		w.Applied("hq")
		if again := state(t, w); again.Hash != first.Hash {
			t.Errorf("%+v", again)
		}
		// Another connection is none of its business.
		w.Connect("branch")
		w.Holds("branch", storetest.Person("dora"))
		w.Applied("branch")
		if again := state(t, w); again.Hash != first.Hash || again.Event == first.Event {
			t.Errorf("%+v", again)
		}
		seen := map[string]bool{first.Hash: true}
		for _, records := range [][]string{{"anna", "bob", "title=Queen"}, {"anna", "bob"}, {"bob"}} {
			r := storetest.Person(records[0])
			if len(records) == 3 {
				r = storetest.Person(records[0], records[2])
			}
			w.Holds("hq", r, storetest.Person("bob"), storetest.Person("carl"), storetest.Group("staff", records[0], "bob"), storetest.Group("all", "carl"))
			if records[0] == "bob" {
				w.Holds("hq", storetest.Person("bob"), storetest.Person("carl"), storetest.Group("staff", "bob"), storetest.Group("all", "carl"))
			}
			w.Applied("hq")
			st := state(t, w)
			if st.Hash != computed(t, w) || seen[st.Hash] {
				t.Errorf("%+v, an application computes %s, seen %v", st, computed(t, w), seen[st.Hash])
			}
			seen[st.Hash] = true
		}
		if st, err := w.Store.AccountTable.StateHash(t.Context(), "other", "hq"); err != nil || st.Accounts != 0 || st.Hash != empty.Hash {
			t.Errorf("another organization sees %+v, %v", st, err)
		}
	})
}

// The chain of events as the doctor tells of it.
func TestTheDoctorTellsOfTheChain(t *testing.T) {
	both(t, func(t *testing.T, w *storetest.World) {
		w.Connect("hq")
		w.Holds("hq", storetest.Person("anna"), storetest.Person("bob"))
		w.Applied("hq")
		chain := func(noted string) string {
			t.Helper()
			findings, err := w.Store.Chain(t.Context(), noted)
			if err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, f := range findings {
				if f.Count == 0 {
					out = append(out, "ok "+f.Detail)
				} else {
					out = append(out, "FAIL "+f.Hint)
				}
			}
			return strings.Join(out, "\n")
		}
		well := chain("")
		_, head, _ := strings.Cut(well, "head ")
		if !strings.HasPrefix(well, "ok events 1 to 3, head 3:") {
			t.Error(well)
		}
		if got := chain(head); !strings.HasSuffix(got, "\nok ") {
			t.Error(got)
		}
		if err := w.Store.DB.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(t.Context(), `UPDATE events SET actor = 'nobody' WHERE id = 2`)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if got := chain(""); !strings.HasPrefix(got, "FAIL event 2 is not what was written") || !strings.Contains(got, "--accept") {
			t.Error(got)
		}
		if _, err := w.Store.Chain(t.Context(), "nonsense"); fault.KindOf(err) != fault.Invalid {
			t.Error(err)
		}
		// A key file that cannot be used: nothing is written that would look forged later.
		refused := fault.New(fault.Denied, "others may read it").WithHint("run: chmod 600")
		was := w.Store.DB.Keyed
		w.Store.DB.Keyed = func(string, string) ([]byte, error) { return nil, refused }
		if got := chain(""); !strings.HasPrefix(got, "FAIL event 2 is not") {
			t.Error(got)
		}
		if err := w.Store.EventTable.Accept(context.Background(), "x", "y", w.Clock); fault.KindOf(err) != fault.Denied {
			t.Error(err)
		}
		w.Store.DB.Keyed = was
		if err := w.Store.EventTable.Accept(context.Background(), "x", "y", w.Clock); err != nil {
			t.Error(err)
		}
		w.Store.DB.Keyed = nil
		if err := w.Store.EventTable.Accept(context.Background(), "x", "y", w.Clock); fault.KindOf(err) != fault.Conflict {
			t.Error(err)
		}
	})
}

// A key file that is there and cannot be used (others may read it, it is cut off) stops
// whoever writes events: without its seal they would look forged when it is mended.
func TestAKeyThatCannotBeUsedStopsTheRun(t *testing.T) {
	both(t, func(t *testing.T, w *storetest.World) {
		w.Connect("hq")
		w.Holds("hq", storetest.Person("anna"))
		w.Applied("hq")
		was := w.Store.DB.Keyed
		w.Store.DB.Keyed = func(string, string) ([]byte, error) {
			return nil, fault.New(fault.Denied, "others may read it").WithHint("run: chmod 600 it")
		}
		w.Holds("hq", storetest.Person("anna"), storetest.Person("bob"))
		if _, err := w.Engine.Sync(t.Context(), *w.Conn("hq"), engine.Options{Actor: "tester"}); fault.KindOf(err) != fault.Denied || fault.HintOf(err) == "" {
			t.Errorf("a run: %v", err)
		}
		findings, err := w.Store.Chain(t.Context(), "")
		if err != nil || findings[0].Count == 0 || !strings.Contains(findings[0].Hint, "others may read it; run: chmod 600 it") {
			t.Errorf("%+v %v", findings, err)
		}
		w.Store.DB.Keyed = was
		w.Applied("hq")
		if findings, err = w.Store.Chain(t.Context(), ""); err != nil || findings[0].Count > 0 {
			t.Errorf("%+v %v", findings, err)
		}
		// None can be made where there is none: the feed goes on without.
		w.Store.DB.Keyed = func(string, string) ([]byte, error) { return nil, errors.New("a folder that is not writable") }
		w.Holds("hq", storetest.Person("anna"))
		w.Applied("hq")
	})
}
