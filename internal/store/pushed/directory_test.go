package pushed_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/pushed"
)

func (h *house) changes(t scim.Type, after int64) (out []string) {
	h.t.Helper()
	err := h.Of(hq).Each(h.t.Context(), t, after, func(e *source.PushedEntry) error {
		name := fmt.Sprintf("%v %v %d", e.Body["userName"], e.Body["displayName"], len(e.Members))
		if e.Gone {
			name = "gone " + e.ID
		}
		out = append(out, name)
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

func (h *house) state() source.PushedState {
	h.t.Helper()
	s, err := h.Of(hq).State(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func TestChangesAreHandedOnInTheirOrder(t *testing.T) {
	databases.Both(t, func(t *testing.T, dsn string) {
		h := open(t, dsn)
		if s := h.state(); s != (source.PushedState{}) {
			t.Errorf("before anything was pushed: %+v", s)
		}
		var jane, john *pushed.Resource
		h.write(func(tx *pushed.Tx) (err error) {
			for i := range 1200 { // more than one chunk of one mark
				if _, err := tx.Create(scim.User, user(fmt.Sprintf("user%04d", i))); err != nil {
					return err
				}
			}
			jane, err = tx.Create(scim.User, user("jane"))
			return err
		})
		first := h.state()
		if got := h.changes(scim.User, 0); len(got) != 1201 || first.Users != 1201 || first.Mark != 1 || !first.ChangedAt.Equal(h.now) {
			t.Errorf("%d handed on, %+v", len(got), first)
		}
		john = h.create(scim.User, user("john"))
		staff := h.create(scim.Group, scim.Object{"displayName": "Staff"})
		h.write(func(tx *pushed.Tx) error {
			_, err := tx.AddMembers(staff, []pushed.Member{{ID: jane.ID}, {ID: john.ID}})
			return err
		})
		second := h.state()
		if got := h.changes(scim.User, first.Mark); !slices.Equal(got, []string{"john <nil> 0"}) {
			t.Errorf("people after the first mark: %q", got)
		}
		if got := h.changes(scim.Group, first.Mark); !slices.Equal(got, []string{"<nil> Staff 2"}) {
			t.Errorf("groups after the first mark: %q", got)
		}
		h.write(func(tx *pushed.Tx) error { return tx.Delete(jane) })
		if got := h.changes(scim.User, second.Mark); !slices.Equal(got, []string{"gone " + jane.ID}) {
			t.Errorf("people after the second mark: %q", got)
		}
		if got := h.changes(scim.Group, second.Mark); !slices.Equal(got, []string{"<nil> Staff 1"}) {
			t.Errorf("the group of who went: %q", got)
		}
		if got := h.changes(scim.User, 0); len(got) != 1201 || slices.Contains(got, "jane <nil> 0") {
			t.Errorf("%d there", len(got))
		}
		for who, want := range map[string]int{"JOHN": 1, john.ID: 1, "jane": 0, jane.ID: 0, "": 0, "nobody": 0} {
			if found, err := h.Of(hq).Named(t.Context(), who); err != nil || len(found) != want {
				t.Errorf("%q leads to %d: %v", who, len(found), err)
			}
		}

		// Nothing goes before its time.
		h.now = h.now.Add(pushed.Kept - time.Minute)
		if more, err := h.Prune(t.Context()); err != nil || more || h.state().Forgotten != 0 {
			t.Errorf("%v %v %+v", more, err, h.state())
		}
		h.now = h.now.Add(2 * time.Minute)
		for more := true; more; {
			var err error
			if more, err = h.Prune(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if s := h.state(); s.Forgotten != second.Mark+1 || s.Users != 1201 {
			t.Errorf("after the tombstone: %+v", s)
		}
		if again := h.create(scim.User, user("jane")); again.ID == jane.ID {
			t.Error("an ID came back that was forgotten")
		}

		if err := h.DB.Write(t.Context(), func(tx *db.Tx) error { return h.Delete(t.Context(), tx, hq) }); err != nil {
			t.Fatal(err)
		}
		if s := h.state(); s != (source.PushedState{}) {
			t.Errorf("of a connection that was deleted: %+v", s)
		}
		h.create(scim.User, user("jane"))
		if s := h.state(); s.Epoch == first.Epoch {
			t.Error("marks of a connection that was made anew look like those before")
		}
	})
}
