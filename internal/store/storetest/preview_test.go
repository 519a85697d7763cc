package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/db"
)

// draft is a connection as it would be.
func (w *World) draft(alias string, change func(*setting.Connection)) setting.Connection {
	c := *w.Conn(alias)
	c.Backend, c.Mapping, c.Scope = map2(c.Backend), map2(c.Mapping), slices.Clone(c.Scope)
	change(&c)
	return c
}

func map2[M ~map[string]V, V any](m M) M {
	out := M{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

// preview plans with settings that are not saved.
func (w *World) preview(alias string, change func(*setting.Connection)) *engine.Plan {
	w.T.Helper()
	r, err := w.Engine.Preview(w.T.Context(), w.draft(alias, change), options)
	w.must(err)
	return r.Plan
}

// stands is all that is remembered of connections and their mirrors.
func (w *World) stands() string {
	w.T.Helper()
	var b strings.Builder
	for _, query := range []string{
		`SELECT alias || ' ' || rules || ' ' || generation || ' ' || planned || ' ' || reading || ' ' || users || ' ' || groups || ' ' || last_full_at || ' ' || COALESCE(length(cursor), -1) || ' ' || lease_owner FROM connections ORDER BY alias`,
		`SELECT connection || ' ' || generation || ' ' || gone || ' ' || name FROM mirror ORDER BY connection, key, generation`,
		`SELECT connection || ' ' || kind || ' ' || name FROM standing ORDER BY 1`,
		`SELECT claimant || ' ' || owner FROM claims ORDER BY 1`,
		`SELECT alias || ' ' || state FROM runs JOIN connections ON alias = connection ORDER BY id`,
		`SELECT name || ' ' || expires_at FROM expiries ORDER BY 1`,
	} {
		w.must(db.Each(w.T.Context(), w.Store.DB.Reader(), query, nil, func(rows *sql.Rows) error {
			var line string
			err := rows.Scan(&line)
			fmt.Fprintln(&b, line)
			return err
		}))
	}
	return b.String()
}

func TestAPreviewShowsWhatEachChangeOfSettingsWouldDo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change  func(*setting.Connection)
		rows    []string // how they begin
		because string
		notes   string
	}{
		"nothing changes":  {func(*setting.Connection) {}, nil, "", ""},
		"a filter":         {func(c *setting.Connection) { c.Backend["directory"] = "narrow" }, []string{"disable account bob"}, "", ""},
		"another mapping":  {func(c *setting.Connection) { c.Mapping["title"] = setting.Rule{Value: "Boss"} }, []string{"update account anna", "update account bob"}, "The mapping changed", ""},
		"a scope":          {func(c *setting.Connection) { c.Scope = []string{`username != "bob"`} }, []string{"disable account bob"}, "The scope changed", ""},
		"a switch":         {func(c *setting.Connection) { c.Backend["directory"] = "wide"; c.Policy.NoCreate = true }, nil, "", "no-create"},
		"people come":      {func(c *setting.Connection) { c.Backend["directory"] = "wide" }, []string{"create account carl"}, "", ""},
		"a limit":          {func(c *setting.Connection) { c.Backend["directory"] = "narrow"; c.Limits.RemovalsMin = 0 }, []string{"disable account bob"}, "disabled or deleted", ""},
		"deletes for good": {func(c *setting.Connection) { c.Backend["directory"] = "narrow"; c.Policy.DeleteDisables = false }, []string{"delete account bob"}, "", ""},
		"match": {func(c *setting.Connection) {
			c.Backend["directory"] = "moved"
			c.Match = []string{"email"}
		}, []string{"link account anna", "link account bob"}, "matching attributes", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *World) {
				w.Connect("hq")
				w.Holds("hq", Person("anna"), Person("bob"))
				w.Holds("narrow", Person("anna"))
				w.Holds("wide", Person("anna"), Person("bob"), Person("carl"))
				w.Holds("moved", Person("anna", "id=new-a"), Person("bob", "id=new-b"))
				w.Applied("hq")
				before := w.stands()
				p := w.preview("hq", c.change)
				rows := w.Rows(p)
				ok := len(rows) == len(c.rows)
				for i := range c.rows {
					ok = ok && strings.HasPrefix(rows[i], c.rows[i])
				}
				if slices.Sort(rows); !ok {
					t.Errorf("the plan: %q, want %q", rows, c.rows)
				}
				if because := strings.Join(p.HeldBecause, "\n"); c.because != "" && !strings.Contains(because, c.because) {
					t.Errorf("held because %q", because)
				}
				noted := ""
				w.must(w.Store.PlanTable.Notes(t.Context(), p.ID, func(n plan.Note) error {
					noted += n.Text + "\n"
					return nil
				}))
				if !strings.Contains(noted, c.notes) {
					t.Errorf("the notes are %q", noted)
				}
				equal(t, "everything stands as it did", w.stands(), before)
				w.Settled("hq")
			})
		})
	}
}

func TestAPreviewIsApprovedOnceItsSettingsAreSavedAndNoSooner(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("bob"), Group("staff", "anna", "bob"))
		w.Holds("other", Person("anna"), Person("carl"), Group("staff", "anna", "carl"))
		w.Dirs.Of("hq").Next, w.Dirs.Of("other").Next = "bookmark", "other bookmark"
		w.Applied("hq")
		change := func(c *setting.Connection) {
			c.Backend["directory"] = "other" // no basis: it might be another server of the same directory
			c.Mapping["title"] = setting.Rule{Value: "Boss"}
		}
		p := w.preview("hq", change)
		fails(t, w.approveErr("hq", p), fault.Conflict, "settings that are not those of the connection")
		half := w.draft("hq", func(c *setting.Connection) { c.Mapping["title"] = setting.Rule{Value: "Boss"} })
		_, err := w.Engine.Approve(t.Context(), half, p.ID, nil, options)
		fails(t, err, fault.Conflict, "settings that are not those of the connection")
		_, err = w.Engine.Approvable(t.Context(), *w.Conn("hq"), p.ID, nil)
		fails(t, err, fault.Conflict, "settings that are not those of the connection")
		equal(t, "bob", w.Account("bob").Status, account.Active)
		change(w.Conn("hq"))
		r := w.Approve("hq", p)
		equal(t, "the run", r.Run.State, engine.RunApplied)
		equal(t, "bob", w.Account("bob").Status, account.Disabled)
		equal(t, "carl", w.Account("carl").Text[account.Title], "Boss")
		equal(t, "members, whoever left among them", w.Members("staff"), "anna bob carl")
		next := w.Applied("hq")
		equal(t, "the next reading is a full one", next.Run.Reading.Full && w.Dirs.Of("other").Asked == nil, true)
		equal(t, "what it plans", next.Plan.Verdict, plan.Nothing)
		w.Applied("hq")
		equal(t, "the one after it starts from the bookmark", string(w.Dirs.Of("other").Asked), "other bookmark")
		w.Settled("hq")
	})
}

func TestAPreviewThatIsNotSavedLeavesTheNextRunAlone(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("bob"), Person("carl"), Group("staff", "anna", "bob"))
		w.Dirs.Of("hq").Next = "bookmark"
		w.Applied("hq")
		before, was := w.Accounts(), w.stands()
		for _, change := range []func(*setting.Connection){
			func(c *setting.Connection) { c.Backend["directory"] = "nobody" },
			func(c *setting.Connection) { c.Backend["filter"] = "(none)"; c.Backend["directory"] = "nobody" },
			func(c *setting.Connection) { c.Mapping["title"] = setting.Rule{Attribute: "uid"} },
			func(c *setting.Connection) { c.Backend["groups.members_only"] = true },
		} {
			w.preview("hq", change)
			equal(t, "everything stands as it did", w.stands(), was)
		}
		w.Dirs.Of("hq").Changes = []directory.Record{}
		r := w.Applied("hq")
		equal(t, "the run starts from its bookmark", string(w.Dirs.Of("hq").Asked), "bookmark")
		equal(t, "it plans", r.Plan.Verdict, plan.Nothing)
		after := w.Accounts()
		for i := range before {
			equal(t, "account "+before[i].Text[account.Username], after[i].Version, before[i].Version)
		}
		w.Dirs.Of("hq").Changes = nil
		w.Settled("hq")
	})
}

func TestAPreviewDoesNotTakeThePlaceOfAPlanThatWaits(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"))
		w.Applied("hq")
		w.Holds("hq")
		waits := w.Held("hq", "found nobody")
		first := w.preview("hq", func(c *setting.Connection) { c.Policy.DeleteDisables = false })
		second := w.preview("hq", func(c *setting.Connection) { c.Policy.NoDelete = true })
		kept, err := w.Store.PlanTable.Get(t.Context(), waits.Plan.ID)
		w.must(err)
		equal(t, "the plan that waits", kept.State, plan.Waiting)
		run, err := w.Store.RunTable.Get(t.Context(), waits.Run.ID)
		w.must(err)
		equal(t, "its run", run.State, engine.RunHeld)
		old, err := w.Store.PlanTable.Get(t.Context(), first.ID)
		w.must(err)
		equal(t, "a later preview takes the place of an earlier one", old.State, plan.Superseded)
		r := w.Approve("hq", waits.Plan)
		equal(t, "the run", r.Run.State, engine.RunApplied)
		equal(t, "anna", w.Account("anna").Status, account.Disabled)
		w.Conn("hq").Policy.NoDelete = true
		if err := w.approveErr("hq", second); err == nil && w.Account("anna").Status != account.Disabled {
			t.Error("the preview undid what was approved meanwhile")
		}
		w.Settled("hq")
	})
}

func TestAPreviewIsStaleWhenTheDirectoryOrAnAccountMovedMeanwhile(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("bob"))
		w.Applied("hq")
		change := func(c *setting.Connection) { c.Mapping["title"] = setting.Rule{Value: "Boss"} }
		p := w.preview("hq", change)
		w.Holds("hq", Person("anna", "title=Clerk"), Person("bob"))
		w.Applied("hq") // of the schedule
		change(w.Conn("hq"))
		if err := w.approveErr("hq", p); err == nil || fault.KindOf(err) != fault.Conflict {
			t.Errorf("the preview is from before the last reading, and is carried out: %v", err)
		}
		r := w.Held("hq", "The mapping changed")
		w.Approve("hq", r.Plan)
		w.Settled("hq")
	})
}

func TestAPreviewOfADirectoryThatFailsLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("bob"))
		w.Applied("hq")
		before := w.stands()
		lost := errors.New("the line is dead")
		dir := w.Dirs.Of("lost")
		dir.Records, dir.Breaks, dir.BreakAt = []directory.Record{Person("anna"), Person("bob")}, lost, 1
		change := func(c *setting.Connection) { c.Backend["directory"] = "lost" }
		if _, err := w.Engine.Preview(t.Context(), w.draft("hq", change), options); !errors.Is(err, lost) {
			t.Errorf("a reading that breaks off: %v", err)
		}
		dir.Away = lost
		if _, err := w.Engine.Preview(t.Context(), w.draft("hq", change), options); !errors.Is(err, lost) {
			t.Errorf("a directory that is away: %v", err)
		}
		dir.Away, dir.Breaks, dir.Missing, dir.Records = nil, nil, "a limit", []directory.Record{Person("anna")}
		p := w.preview("hq", change)
		equal(t, "nobody is missed by a reading that is not complete", p.Verdict, plan.Nothing)
		ctx, cancel := context.WithCancel(t.Context())
		dir.Missing, dir.Reading = "", func(int) { cancel() }
		if _, err := w.Engine.Preview(ctx, w.draft("hq", change), options); !errors.Is(err, context.Canceled) {
			t.Errorf("a preview that was stopped: %v", err)
		}
		equal(t, "everything stands as it did", w.stands(), before)
	})
}

func TestWhatAPreviewLeftWhoseProcessWasKilledGoesWithTheNextReading(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("bob"))
		w.Applied("hq")
		lease, err := w.Store.Leases().Acquire(t.Context(), "hq", "org", "script")
		w.must(err)
		_, err = w.Store.Mirror().Aside(t.Context(), lease)
		w.must(err)
		w.must(w.Store.Leases().Release(t.Context(), lease))
		w.Applied("hq")
		var left int
		w.must(w.Store.DB.Reader().QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM mirror WHERE connection <> 'hq') + (SELECT count(*) FROM connections WHERE alias <> 'hq')`).Scan(&left))
		equal(t, "rows left", left, 0)
	})
}

func TestTheCopyOfAPictureIsWholeWhateverItsSize(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		var all []directory.Record
		for i := range 3*shortCopies + 1 {
			all = append(all, Person(fmt.Sprintf("p%05d", i)))
		}
		w.Holds("hq", all...)
		w.Applied("hq")
		lease, err := w.Store.Leases().Acquire(t.Context(), "hq", "org", "script")
		w.must(err)
		aside, err := w.Store.Mirror().Aside(t.Context(), lease)
		w.must(err)
		var differ int
		w.must(w.Store.DB.Reader().QueryRowContext(t.Context(), `SELECT count(*) FROM mirror a WHERE a.connection = 'hq'
			AND NOT EXISTS (SELECT 1 FROM mirror b WHERE b.connection = $1 AND b.key = a.key AND b.generation = a.generation AND b.hash = a.hash AND b.record = a.record)`, aside.Connection).Scan(&differ))
		equal(t, "rows that were not copied", differ, 0)
		w.must(w.Store.Mirror().DropAside(t.Context(), lease))
		var left int
		w.must(w.Store.DB.Reader().QueryRowContext(t.Context(), `SELECT count(*) FROM mirror WHERE connection = $1`, aside.Connection).Scan(&left))
		equal(t, "rows left", left, 0)
		w.must(w.Store.Leases().Release(t.Context(), lease))
	})
}
