package store

import (
	"context"
	"fmt"
	"strings"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
)

// Finding is the result of one check of the database.
type Finding struct {
	Check string `json:"check"` // what must hold
	Count int    `json:"count"` // how often it does not
	Hint  string `json:"hint"`
	// Detail is what else there is to say, for a person; may be empty.
	Detail string `json:"detail,omitempty"`
}

// Examine checks what must never be, whatever was killed when.
func (s *Store) Examine(ctx context.Context) ([]Finding, error) {
	const restore = "the database was altered from outside, or a disk failed: restore the last backup and run `rollcall sync --full`"
	checks := []struct{ check, query, hint string }{
		{"event numbers have no gap", `SELECT value - (SELECT value FROM counters WHERE name = 'pruned') - (SELECT COALESCE(sum(span), 0) FROM events) FROM counters WHERE name = 'event'`, restore},
		{"every account has the event of its creation or linking", `SELECT count(*) FROM accounts a
			WHERE a.created_at >= (SELECT value FROM counters WHERE name = 'pruned_before') AND NOT EXISTS (SELECT 1 FROM events e WHERE e.account = a.id AND e.type IN ('account.created', 'account.linked'))`, restore},
		{"an account has its number of changes as its version", `SELECT count(*) FROM accounts a WHERE a.version < 1`, restore},
		{"the numbers of accounts that are kept are those there are", `SELECT count(*) FROM (
			SELECT organization, connection, here, active FROM tallies WHERE here <> 0 OR active <> 0
			EXCEPT SELECT organization, connection, sum(CASE WHEN status <> 'deleted' AND NOT (status = 'disabled' AND cause = 'absence') THEN 1 ELSE 0 END),
				sum(CASE WHEN status = 'active' THEN 1 ELSE 0 END) FROM accounts GROUP BY organization, connection) x`, restore},
		{"the number of entries kept of each directory is that of the mirror", `SELECT count(*) FROM connections c WHERE c.alias NOT LIKE '% %' AND c.users + c.groups <>
			(SELECT count(*) FROM mirror m WHERE m.connection = c.alias AND m.kind < 3 AND m.gone = 0 AND m.generation <= c.generation)`, "run `rollcall sync --full`"},
		{"no username is held by two living accounts of one organization", `SELECT count(*) FROM (SELECT 1 FROM accounts
			WHERE status <> 'deleted' AND NOT (status = 'disabled' AND cause = 'absence') GROUP BY organization, username_key HAVING count(*) > 1) x`,
			"`rollcall accounts list --search` shows them; correct the directory and synchronise"},
		{"every membership has its account and its group", `SELECT count(*) FROM memberships m WHERE NOT EXISTS (SELECT 1 FROM accounts a WHERE a.id = m.account_id)
			OR NOT EXISTS (SELECT 1 FROM groups g WHERE g.id = m.group_id)`, restore},
		{"every manager is an account", `SELECT count(*) FROM accounts a WHERE a.manager IS NOT NULL AND NOT EXISTS (SELECT 1 FROM accounts b WHERE b.id = a.manager)`, "run `rollcall sync --full`"},
		{"no plan is left half applied", `SELECT count(*) FROM plans p JOIN connections c ON c.alias = p.connection WHERE p.state = 'applying' AND c.alias NOT IN BUSY
			AND NOT EXISTS (SELECT 1 FROM work w WHERE w.run = p.run)`,
			"the next `rollcall sync` of the connection carries it on"},
		{"no run is left running", `SELECT count(*) FROM runs r JOIN connections c ON c.alias = r.connection WHERE r.state = 'running' AND c.alias NOT IN BUSY
			AND NOT EXISTS (SELECT 1 FROM work w WHERE w.run = r.id)`,
			"the next `rollcall sync` of the connection ends it"},
		{"every run that waits stands in line", `SELECT count(*) FROM runs r WHERE r.state = 'queued' AND NOT EXISTS (SELECT 1 FROM work w WHERE w.run = r.id)`, restore},
		{"nobody stands in line for a run that has ended", `SELECT count(*) FROM work w JOIN runs r ON r.id = w.run WHERE w.node = '' AND r.state NOT IN ('queued', 'running')`, restore},
		{"no row of an unfinished reading is left", `SELECT count(*) FROM mirror m JOIN connections c ON c.alias = m.connection WHERE m.generation > c.generation AND c.alias NOT IN BUSY`,
			"the next `rollcall sync` of the connection throws them away"},
		{"no index is left to be built", `SELECT count(*) FROM deferred_indexes WHERE NOT EXISTS (SELECT 1 FROM connections c WHERE c.alias IN BUSY)`,
			"the next command that works on a connection builds it"},
	}
	if s.DB.Dialect == db.SQLite {
		checks = append(checks, struct{ check, query, hint string }{"the database file is whole", `SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'`, restore})
	}
	out := []Finding{}
	lacks, err := s.DB.Lacking(ctx)
	if err != nil {
		return nil, err
	}
	f := Finding{Check: "every table, column and index is there", Count: len(lacks)}
	if len(lacks) > 0 {
		f.Hint = "it lacks " + strings.Join(lacks, ", ") + ": " + restore
	}
	out = append(out, f)
	busy, err := s.LeaseTable.Busy(ctx)
	if out, err = unmade(ctx, out, "what is being worked on can be read", err); err != nil {
		return nil, err
	}
	aliases := []any{""} // which none has: an empty list would be no list
	for _, alias := range busy {
		aliases = append(aliases, alias)
	}
	for _, c := range checks {
		f := Finding{Check: c.check, Hint: c.hint}
		query, args := c.query, []any(nil)
		if strings.Contains(query, "BUSY") { // the connections that are being worked on
			query, args = strings.Replace(query, "BUSY", db.In(1, len(aliases)), 1), aliases
		}
		err := s.DB.Reader().QueryRowContext(ctx, query, args...).Scan(&f.Count)
		if err == nil {
			out = append(out, f)
		}
		if out, err = unmade(ctx, out, c.check, db.Explain("examine", err)); err != nil {
			return nil, err
		}
	}
	f = Finding{Check: "the values kept for matching are those the accounts carry",
		Hint: "take the attributes out of `match`, run `rollcall plan`, and put them in again: their values are collected anew"}
	if f.Count, err = s.AccountTable.Amiss(ctx); err == nil {
		out = append(out, f)
	}
	if out, err = unmade(ctx, out, f.Check, err); err != nil {
		return nil, err
	}
	chain, err := s.Chain(ctx, "")
	return unmade(ctx, append(out, chain...), unaltered, err)
}

// unmade has a check found wanting that could not be made because something in the
// database is not as it has to be; the others can be. Where the database does not answer
// none can.
func unmade(ctx context.Context, out []Finding, check string, err error) ([]Finding, error) {
	if err == nil || fault.KindOf(err) != fault.Internal || ctx.Err() != nil {
		return out, err
	}
	f := Finding{Check: check, Count: 1, Hint: "it could not be looked at: " + err.Error()}
	if hint := fault.HintOf(err); hint != "" {
		f.Hint += "; " + hint
	}
	return append(out, f), nil
}

const unaltered = "no event was altered, removed or put in since it was written"

// Chain walks the chain of events. noted is the head of the chain as `rollcall
// doctor` printed it once, to be compared with what became of it, or "".
func (s *Store) Chain(ctx context.Context, noted string) ([]Finding, error) {
	v, err := s.EventTable.Verify(ctx, noted)
	if err != nil {
		return nil, err
	}
	f := Finding{Check: unaltered, Detail: "the chain of events is empty"}
	if v.Head != "" {
		f.Detail = fmt.Sprintf("events %d to %d, head %s", v.Behind+1, v.Last, v.Head)
		if !v.Keyed && v.Key == nil {
			f.Detail += "; its seal was not looked at, there is no key"
		}
	}
	if v.Key != nil {
		f.Count, f.Hint = 1, fmt.Sprintf("its seal could not be looked at: %v; %s", v.Key, fault.HintOf(v.Key))
	}
	if v.Broken != "" {
		f.Count = 1
		f.Hint = v.Broken + "; compare with a backup and with what applications were sent. If it has an innocent reason (a lost key file, a backup that was restored without it), `rollcall doctor --accept REASON` seals the feed as it stands"
	}
	out := []Finding{f}
	if noted != "" {
		f := Finding{Check: "the feed still holds the head that was noted", Hint: v.Noted}
		if v.Noted != "" {
			f.Count = 1
		}
		out = append(out, f)
	}
	return out, nil
}
