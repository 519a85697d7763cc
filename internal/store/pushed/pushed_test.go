package pushed_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/pushed"
)

func TestMain(m *testing.M) { os.Exit(databases.Main(m)) }

const hq = "hq"

// house is the tables on a database, and how often a run was asked for.
type house struct {
	*pushed.Pushed
	t     testing.TB
	now   time.Time
	lined int
}

func open(t testing.TB, dsn string) *house {
	t.Helper()
	h := &house{t: t, now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	h.Pushed = &pushed.Pushed{DB: databases.Open(t, dsn), Now: func() time.Time { return h.now }, Line: func(context.Context, *db.Tx, string, time.Time) error {
		h.lined++
		return nil
	}}
	return h
}

func user(name string, more ...any) scim.Object {
	o := scim.Object{"userName": name}
	for i := 0; i < len(more); i += 2 {
		o[more[i].(string)] = more[i+1]
	}
	return o
}

func (h *house) write(fn func(*pushed.Tx) error) {
	h.t.Helper()
	if err := h.Write(h.t.Context(), hq, fn); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) create(typ scim.Type, body scim.Object) *pushed.Resource {
	h.t.Helper()
	var r *pushed.Resource
	h.write(func(tx *pushed.Tx) (err error) {
		r, err = tx.Create(typ, body)
		return err
	})
	return r
}

func (h *house) get(typ scim.Type, id string) *pushed.Resource {
	h.t.Helper()
	r, err := h.Get(h.t.Context(), hq, typ, id, true, true)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func (h *house) list(q pushed.Query) pushed.Page {
	h.t.Helper()
	p, err := h.List(h.t.Context(), hq, q)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

func status(err error) (int, scim.ErrorType) {
	var e *scim.Error
	if errors.As(err, &e) {
		return e.Status, e.Type
	}
	return 0, ""
}

func TestWhatIsPushedReadsBackAsSent(t *testing.T) {
	databases.Both(t, func(t *testing.T, dsn string) {
		h := open(t, dsn)
		sent := user("Jane@Example.org", "externalId", "e1", "name", scim.Object{"givenName": "Jäne", "familyName": "<Doe>"}, "nobody knows", []any{"this", nil, true})
		r := h.create(scim.User, sent)
		got := h.get(scim.User, r.ID)
		if fmt.Sprint(got.Body) != fmt.Sprint(sent) || got.Version != 1 || !got.CreatedAt.Equal(h.now) {
			t.Errorf("sent %v, got %v, version %d of %s", sent, got.Body, got.Version, got.CreatedAt)
		}
		if _, err := h.Get(t.Context(), hq, scim.Group, r.ID, false, false); fmt.Sprint(err) == "" {
			t.Error("a user is no group")
		}
		if code, _ := status(func() error { _, err := h.Get(t.Context(), "other", scim.User, r.ID, false, false); return err }()); code != 404 {
			t.Error("it is in another connection too")
		}
		h.now = h.now.Add(time.Minute)
		h.write(func(tx *pushed.Tx) error { // nothing changes
			r, err := tx.Get(scim.User, r.ID, false, false)
			return errors.Join(err, tx.Replace(r, sent))
		})
		if got = h.get(scim.User, r.ID); got.Version != 1 || !got.ModifiedAt.Equal(got.CreatedAt) {
			t.Errorf("the same again made version %d", got.Version)
		}
		h.write(func(tx *pushed.Tx) error {
			r, err := tx.Get(scim.User, r.ID, false, false)
			return errors.Join(err, tx.Replace(r, user("jane")))
		})
		if got = h.get(scim.User, r.ID); got.Version != 2 || !got.ModifiedAt.Equal(h.now) || len(got.Body) != 1 {
			t.Errorf("after a change: %+v", got)
		}
		if h.lined != 1 {
			t.Errorf("a run was asked for %d times", h.lined)
		}
	})
}

func TestUserNamesAreUniqueAndGroupsAreNot(t *testing.T) {
	databases.Both(t, func(t *testing.T, dsn string) {
		h := open(t, dsn)
		h.create(scim.User, user("jane"))
		john := h.create(scim.User, user("john"))
		for name, fn := range map[string]func(*pushed.Tx) error{
			"made twice, in other case": func(tx *pushed.Tx) error {
				_, err := tx.Create(scim.User, user("JANE"))
				return err
			},
			"renamed to one that is taken": func(tx *pushed.Tx) error { return tx.Replace(h.get(scim.User, john.ID), user("Jane")) },
		} {
			err := h.Write(t.Context(), hq, fn)
			if code, kind := status(err); code != 409 || kind != scim.Uniqueness || !strings.Contains(strings.ToLower(err.Error()), `"jane"`) {
				t.Errorf("%s: %v", name, err)
			}
		}
		h.create(scim.Group, scim.Object{"displayName": "Staff"})
		h.create(scim.Group, scim.Object{"displayName": "Staff"})
		if p := h.list(pushed.Query{Type: scim.Group, Count: -1}); p.Total != 2 || len(p.Resources) != 2 {
			t.Errorf("groups: %+v", p)
		}
		for typ, body := range map[scim.Type]scim.Object{scim.User: {"displayName": "x"}, scim.Group: {}} {
			if code, _ := status(h.Write(t.Context(), hq, func(tx *pushed.Tx) error { _, err := tx.Create(typ, body); return err })); code != 400 {
				t.Errorf("a %s without a name", typ)
			}
		}
	})
}

func TestWhoComesAgainHasTheSameID(t *testing.T) {
	for name, c := range map[string]struct {
		before, after scim.Object
		same          bool
	}{
		"under the same name and external ID":    {user("jane", "externalId", "e"), user("JANE", "externalId", "e", "title", "x"), true},
		"under the same name, none has an ID":    {user("jane"), user("jane"), true},
		"under the same name, with another ID":   {user("jane", "externalId", "e"), user("jane", "externalId", "f"), false},
		"under another name":                     {user("jane", "externalId", "e"), user("john", "externalId", "e"), false},
		"one of both has an ID":                  {user("jane", "externalId", "e"), user("jane"), false},
		"the external ID is written in capitals": {user("jane", "externalId", "e"), user("jane", "externalId", "E"), false},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, databases.SQLite(t))
			was := h.create(scim.User, c.before)
			h.write(func(tx *pushed.Tx) error { return tx.Delete(was) })
			if code, _ := status(func() error { _, err := h.Get(t.Context(), hq, scim.User, was.ID, false, false); return err }()); code != 404 {
				t.Error("it is still there")
			}
			is := h.create(scim.User, c.after)
			if (is.ID == was.ID) != c.same {
				t.Errorf("was %s, is %s", was.ID, is.ID)
			}
			if got := h.get(scim.User, is.ID); c.same && got.Version <= was.Version {
				t.Errorf("version %d after %d", got.Version, was.Version)
			}
		})
	}
}

func TestMembers(t *testing.T) {
	databases.Both(t, func(t *testing.T, dsn string) {
		h := open(t, dsn)
		a, b := h.create(scim.User, user("a")), h.create(scim.User, user("b"))
		inner, g := h.create(scim.Group, scim.Object{"displayName": "Inner"}), h.create(scim.Group, scim.Object{"displayName": "Staff"})
		change := func(name string, n int, fn func(*pushed.Tx, *pushed.Resource) (int, error)) {
			t.Helper()
			before := h.get(scim.Group, g.ID).Version
			h.write(func(tx *pushed.Tx) error {
				r, err := tx.Get(scim.Group, g.ID, false, false)
				if err != nil {
					return err
				}
				got, err := fn(tx, r)
				if got != n {
					t.Errorf("%s: %d changed", name, got)
				}
				return err
			})
			if after := h.get(scim.Group, g.ID).Version; after-before != int64(min(n, 1)) {
				t.Errorf("%s: version %d became %d", name, before, after)
			}
		}
		holds := func(want ...string) {
			t.Helper()
			got := []string{}
			for _, m := range h.get(scim.Group, g.ID).Members {
				got = append(got, fmt.Sprintf("%s %s %s", m.ID, m.Display, m.Type))
			}
			slices.Sort(want)
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("holds %q, want %q", got, want)
			}
		}
		add := func(list ...pushed.Member) func(*pushed.Tx, *pushed.Resource) (int, error) {
			return func(tx *pushed.Tx, r *pushed.Resource) (int, error) { return tx.AddMembers(r, list) }
		}
		change("three come, one of them twice, one is nobody", 4, add(pushed.Member{ID: a.ID, Display: "A"}, pushed.Member{ID: b.ID}, pushed.Member{ID: b.ID, Display: "B"},
			pushed.Member{ID: inner.ID}, pushed.Member{ID: "string id 1"}))
		holds(a.ID+" A User", b.ID+" B User", inner.ID+"  Group", "string id 1  User")
		change("those who are in it", 0, add(pushed.Member{ID: a.ID}, pushed.Member{ID: b.ID, Display: "B"}))
		change("one is called otherwise", 1, add(pushed.Member{ID: b.ID, Display: "Bee"}))
		change("two go, one was not in it", 1, func(tx *pushed.Tx, r *pushed.Resource) (int, error) {
			return tx.RemoveMembers(r, []string{"string id 1", "x\x00"})
		})
		change("others in their place", 2, func(tx *pushed.Tx, r *pushed.Resource) (int, error) {
			return tx.ReplaceMembers(r, []pushed.Member{{ID: a.ID}})
		})
		holds(a.ID + " A User")
		if got := h.get(scim.User, a.ID).Groups; len(got) != 1 || got[0] != (pushed.Member{ID: g.ID, Display: "Staff", Type: scim.Group}) {
			t.Errorf("the user is in %v", got)
		}
		version := h.get(scim.Group, g.ID).Version
		h.write(func(tx *pushed.Tx) error { return tx.Delete(a) })
		holds()
		if got := h.get(scim.Group, g.ID).Version; got != version+1 {
			t.Errorf("the group of one who was deleted has version %d after %d", got, version)
		}
		change("one by a filter", 1, func(tx *pushed.Tx, r *pushed.Resource) (int, error) {
			if _, err := tx.AddMembers(r, []pushed.Member{{ID: b.ID}}); err != nil {
				return 0, err
			}
			r.Version-- // both together are one change here
			_, err := tx.RemoveMembersWhere(r, &scim.Filter{Op: scim.Eq, Path: scim.Path{Attr: "value"}, Value: "nobody"})
			return 1, err
		})
		change("all", 1, func(tx *pushed.Tx, r *pushed.Resource) (int, error) { return tx.RemoveMembersWhere(r, nil) })
		for _, id := range []string{"", "x\x00", strings.Repeat("x", 300)} {
			if code, _ := status(h.Write(t.Context(), hq, func(tx *pushed.Tx) error { _, err := tx.AddMembers(g, []pushed.Member{{ID: id}}); return err })); code != 400 {
				t.Errorf("a member %q", id)
			}
		}
	})
}

func TestAFailedWriteUndoesNoNeighbour(t *testing.T) {
	databases.Both(t, func(t *testing.T, dsn string) {
		h := open(t, dsn)
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				err := h.Write(t.Context(), hq, func(tx *pushed.Tx) error {
					if _, err := tx.Create(scim.User, user(fmt.Sprint("user", i))); err != nil {
						return err
					}
					if i%5 == 0 {
						return context.Canceled
					}
					if i%7 == 0 {
						_, err := tx.Create(scim.User, user(fmt.Sprint("USER", i)))
						return err
					}
					return nil
				})
				if code, _ := status(err); errors.Is(err, context.Canceled) != (i%5 == 0) || i%5 != 0 && (code == 409) != (i%7 == 0) {
					t.Errorf("user %d: %v", i, err)
				}
			})
		}
		all.Wait()
		p := h.list(pushed.Query{Type: scim.User, Count: -1})
		for _, r := range p.Resources {
			var i int
			if _, err := fmt.Sscanf(r.Body["userName"].(string), "user%d", &i); err != nil || i%5 == 0 || i%7 == 0 {
				t.Errorf("there is %s", r.Body["userName"])
			}
		}
		if want := 200 - 40 - 29 + 6; p.Total != want || len(p.Resources) != want {
			t.Errorf("%d there, want %d", p.Total, want)
		}
		if h.lined != 1 {
			t.Errorf("a run was asked for %d times", h.lined)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Error("a panic was swallowed")
				}
			}()
			_ = h.Write(t.Context(), hq, func(*pushed.Tx) error { panic("x") })
		}()
		func() {
			defer func() {
				if recover() == nil {
					t.Error("a panic of whoever puts a run in line was swallowed")
				}
			}()
			other := &pushed.Pushed{DB: h.DB, Now: h.Now, Line: func(context.Context, *db.Tx, string, time.Time) error { panic("x") }}
			_ = other.Write(t.Context(), "branch", func(tx *pushed.Tx) error { _, err := tx.Create(scim.User, user("jane")); return err })
		}()
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if err := h.Write(over, hq, func(tx *pushed.Tx) error { _, err := tx.Create(scim.User, user("late")); return err }); !errors.Is(err, context.Canceled) {
			t.Errorf("whoever went away: %v", err)
		}
	})
}

// BenchmarkCreate is 16 clients that make users of one connection at the same time.
func BenchmarkCreate(b *testing.B) {
	for name, fresh := range map[string]func(testing.TB) string{"SQLite": databases.SQLite, "PostgreSQL": databases.PostgreSQL} {
		for _, writers := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/%d", name, writers), func(b *testing.B) {
				h := open(b, fresh(b))
				next := make(chan int, writers)
				b.ResetTimer()
				var all sync.WaitGroup
				for range writers {
					all.Go(func() {
						for i := range next {
							if err := h.Write(b.Context(), hq, func(tx *pushed.Tx) error {
								_, err := tx.Create(scim.User, entra(i))
								return err
							}); err != nil {
								b.Error(err)
							}
						}
					})
				}
				for i := range b.N {
					next <- i
				}
				close(next)
				all.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "creates/s")
			})
		}
	}
}

// entra is a user as Entra ID sends one.
func entra(i int) scim.Object {
	mail := fmt.Sprintf("person%d@example.org", i)
	return scim.Object{
		"schemas": []any{scim.UserSchema, scim.EnterpriseSchema}, "userName": mail, "externalId": fmt.Sprint("e", i), "active": true, "displayName": fmt.Sprint("Person ", i),
		"name":         scim.Object{"givenName": "Person", "familyName": fmt.Sprint("Number ", i), "formatted": fmt.Sprint("Person Number ", i)},
		"emails":       []any{scim.Object{"type": "work", "primary": true, "value": mail}},
		"phoneNumbers": []any{scim.Object{"type": "mobile", "value": fmt.Sprintf("+32470%06d", i)}}, "title": "Engineer", "preferredLanguage": "en",
		scim.EnterpriseSchema: scim.Object{"employeeNumber": fmt.Sprint(i), "department": "Research"},
	}
}

// BenchmarkAddMember adds one member to a group, and takes them out again.
func BenchmarkAddMember(b *testing.B) {
	for name, fresh := range map[string]func(testing.TB) string{"SQLite": databases.SQLite, "PostgreSQL": databases.PostgreSQL} {
		for _, size := range []int{100, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				h := open(b, fresh(b))
				g := h.create(scim.Group, scim.Object{"displayName": "Everybody"})
				for part := range slices.Chunk(make([]pushed.Member, size), 5000) {
					for i := range part {
						part[i].ID = fmt.Sprintf("m%p", &part[i])
					}
					h.write(func(tx *pushed.Tx) error {
						_, err := tx.AddMembers(g, part)
						return err
					})
				}
				b.ResetTimer()
				for i := range b.N {
					h.write(func(tx *pushed.Tx) error {
						r, err := tx.Get(scim.Group, g.ID, false, false)
						if err != nil {
							return err
						}
						if i%2 == 0 {
							_, err = tx.AddMembers(r, []pushed.Member{{ID: "one more"}})
						} else {
							_, err = tx.RemoveMembers(r, []string{"one more"})
						}
						return err
					})
				}
			})
		}
	}
}
