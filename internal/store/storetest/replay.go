package storetest

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/store/db"
)

// follower is an application that knows nothing but the event feed.
type follower struct {
	accounts map[account.ID]map[string]string
	groups   map[account.ID]string
	members  map[string]bool
}

// Replay makes accounts, groups and memberships out of the events alone, as an
// application does that follows the feed, and compares them with the tables. Where
// the beginning of the feed was pruned there is nothing to begin with.
func (w *World) Replay() {
	w.T.Helper()
	pruned := 0
	w.must(w.Store.DB.Reader().QueryRowContext(w.T.Context(), `SELECT value FROM counters WHERE name = 'pruned'`).Scan(&pruned))
	if pruned > 0 {
		return
	}
	f := follower{accounts: map[account.ID]map[string]string{}, groups: map[account.ID]string{}, members: map[string]bool{}}
	w.must(w.Store.EventTable.After(w.T.Context(), "", 0, 1<<30, f.take))
	for _, a := range w.Accounts() {
		want := object(plan.Fields(^uint32(0)).JSON(a))
		if got := f.accounts[a.ID]; !maps.Equal(got, want) {
			w.T.Errorf("account %s: the events say\n%s\nand the table\n%s", a.Text[account.Username], sorted(got), sorted(want))
		}
		delete(f.accounts, a.ID)
	}
	if len(f.accounts) > 0 {
		w.T.Errorf("the events made %d accounts that are not there", len(f.accounts))
	}
	w.must(db.Each(w.T.Context(), w.Store.DB.Reader(), `SELECT id, name, status FROM groups`, nil, func(rows *sql.Rows) error {
		var id account.ID
		var name, status string
		err := rows.Scan(&id, &name, &status)
		if status == string(account.Active) && f.groups[id] != name || status != string(account.Active) && f.groups[id] != "" {
			w.T.Errorf("group %s is %s, the events say %q", name, status, f.groups[id])
		}
		return err
	}))
	w.must(db.Each(w.T.Context(), w.Store.DB.Reader(), `SELECT group_id, account_id FROM memberships`, nil, func(rows *sql.Rows) error {
		var g, a account.ID
		err := rows.Scan(&g, &a)
		if key := g.String() + a.String(); !f.members[key] {
			w.T.Errorf("no event tells of a membership of %s", a)
		} else {
			delete(f.members, key)
		}
		return err
	}))
	if len(f.members) > 0 {
		w.T.Errorf("the events made %d memberships that are not there", len(f.members))
	}
}

func (f *follower) take(e event.Event) error {
	switch e.Type {
	case event.AccountCreated:
		if f.accounts[*e.Account] != nil {
			return fmt.Errorf("event %d creates an account that is there", e.ID)
		}
		f.accounts[*e.Account] = object(e.After)
	case event.AccountUpdated, event.AccountLinked, event.AccountDisabled, event.AccountEnabled, event.AccountDeleted, event.AccountRestored:
		a := f.accounts[*e.Account]
		if a == nil {
			return fmt.Errorf("event %d (%s) is about an account that was not created", e.ID, e.Type)
		}
		for name, before := range object(e.Before) {
			if a[name] != before {
				return fmt.Errorf("event %d (%s): %s was %q and not %q", e.ID, e.Type, name, a[name], before)
			}
			delete(a, name)
		}
		maps.Copy(a, object(e.After))
	case event.AccountPurged:
		delete(f.accounts, *e.Account)
		maps.DeleteFunc(f.members, func(key string, _ bool) bool { return strings.HasSuffix(key, e.Account.String()) })
	case event.GroupCreated, event.GroupUpdated, event.GroupRestored:
		f.groups[*e.Group] = object(e.After)["name"]
	case event.GroupDeleted:
		delete(f.groups, *e.Group)
	case event.MembershipAdded, event.MembershipRemoved:
		key := e.Group.String() + e.Account.String()
		if f.members[key] == (e.Type == event.MembershipAdded) {
			return fmt.Errorf("event %d (%s) tells what was so already", e.ID, e.Type)
		}
		if f.members[key] = true; e.Type == event.MembershipRemoved {
			delete(f.members, key)
		}
	default:
	}
	return nil
}

// object is a JSON object without its nulls and empty objects.
func object(text []byte) map[string]string {
	var raw map[string]json.RawMessage
	out := map[string]string{}
	if json.Unmarshal(text, &raw) != nil {
		return out
	}
	for k, v := range raw {
		if s := string(v); s != "null" && s != "{}" {
			out[k] = strings.Trim(s, `"`)
		}
	}
	return out
}

func sorted(m map[string]string) string {
	var out []string
	for k, v := range m {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}
