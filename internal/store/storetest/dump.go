package storetest

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/store"
	"rollcall.dev/rollcall/internal/store/db"
)

// Tables are all tables there are.
var Tables = []string{"organizations", "connections", "mirror", "standing", "claims", "accounts", "account_values", "matching", "credentials", "groups", "memberships",
	"plans", "plan_chunks", "plan_excluded", "runs", "counters", "events"}

// what lists, per table, the columns that say where an installation stands. Left
// out is what hangs on when and how often something was tried: times, versions
// of the mirror, IDs of runs and plans, fences.
var what = map[string]string{
	"connections": "alias, organization, kind, rules, rules_text, attention, complete, generation - planned, lease_owner",
	"mirror":      "connection, key, kind, external_id, name, ref, hash, record, CASE WHEN secret = '' THEN 0 ELSE 1 END, CASE WHEN gone > 0 THEN 1 ELSE 0 END",
	"standing":    "connection, key, kind, name, external_id, text, due_at",
	"claims":      "organization, account, owner, owner_key, claimant, claimant_key, claimant_name",
	"accounts": `id, organization, connection, key, external_id, username_key, email_key, username, email, first_name, last_name, display_name,
		mobile_phone, phone, language, title, department, location, role, manager, status, cause, attributes, version`,
	"account_values": "organization, name, value_key, account",
	"matching":       "organization, connection, name",
	"credentials":    "account",
	"groups":         "id, organization, connection, key, external_id, name, status, version",
	"memberships":    "group_id, account_id",
	"counters":       "name, 0",
}

// State tells of everything that counts in a database, a line for each row, so
// that two can be compared whatever happened on the way. Events of runs are left
// out: a run that was killed and tried again has more of them.
func State(ctx context.Context, s *store.Store) (string, error) {
	var out []string
	for table, columns := range what {
		err := db.Each(ctx, s.DB.Reader(), "SELECT "+columns+" FROM "+table, nil, func(rows *sql.Rows) error {
			text, err := row(rows)
			out = append(out, table+" "+text)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	err := s.EventTable.After(ctx, "", 0, 1<<30, func(e event.Event) error {
		if e.Account != nil || e.Group != nil {
			out = append(out, fmt.Sprintf("events %s|%s|%s|%s|%s|%s|%s|%s", e.Type, e.Organization, *e.Connection, id(e.Account), id(e.Group), e.Before, e.After, e.Why))
		}
		return nil
	})
	slices.Sort(out)
	return strings.Join(out, "\n"), err
}

func id(id *account.ID) string {
	if id == nil {
		return ""
	}
	return id.String()
}

func row(rows *sql.Rows) (string, error) {
	columns, err := rows.Columns()
	if err != nil {
		return "", err
	}
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	if err := rows.Scan(into...); err != nil {
		return "", err
	}
	parts := make([]string, len(values))
	for i, v := range values {
		switch v := v.(type) {
		case []byte:
			parts[i] = fmt.Sprintf("%x", v)
		case bool:
			parts[i] = map[bool]string{true: "1", false: "0"}[v]
		default:
			parts[i] = fmt.Sprint(v)
		}
	}
	return strings.Join(parts, "|"), nil
}

// State is State of the world's database.
func (w *World) State() string {
	w.T.Helper()
	text, err := State(w.T.Context(), w.Store)
	w.must(err)
	return text
}

// Everything is the whole database as text, every column of every table.
func (w *World) Everything() string {
	w.T.Helper()
	var out []string
	for _, table := range Tables {
		w.must(db.Each(w.T.Context(), w.Store.DB.Reader(), "SELECT * FROM "+table, nil, func(rows *sql.Rows) error {
			text, err := row(rows)
			out = append(out, table+" "+text)
			return err
		}))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// Difference gives the lines only one of two texts has, a few of each.
func Difference(want, got string) string {
	const most, long = 8, 300
	lines := func(s string) map[string]int {
		out := map[string]int{}
		for l := range strings.Lines(s) {
			out[strings.TrimSpace(l)]++
		}
		return out
	}
	a, b := lines(want), lines(got)
	var out []string
	add := func(sign string, x, y map[string]int) {
		var some []string
		for l, n := range x {
			if y[l] < n {
				some = append(some, sign+l)
			}
		}
		slices.Sort(some)
		for _, l := range some[:min(most, len(some))] {
			out = append(out, l[:min(long, len(l))])
		}
	}
	add("- ", a, b)
	add("+ ", b, a)
	return strings.Join(out, "\n")
}

// People tells of the accounts and groups as their application sees them:
//
//	anna active employee anna@example.org manager=boss groups=all,staff
func (w *World) People() string {
	w.T.Helper()
	names := w.names()
	var out []string
	for _, a := range w.Accounts() {
		var groups []string
		for _, g := range a.Groups {
			groups = append(groups, names[g])
		}
		slices.Sort(groups)
		out = append(out, fmt.Sprintf("%s %s %s %s manager=%s groups=%s", a.Text[account.Username], a.Status, a.Text[account.Role], a.Text[account.Email],
			names[a.Manager], strings.Join(groups, ",")))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}
