// Package plans is the tables of plans: their chunks, their notes, the rows a
// person excluded, and what the last applied plan of each connection left
// standing. It hands chunks to apply and plans to whoever decides on them.
package plans

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/match"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/leases"
	"rollcall.dev/rollcall/internal/store/runs"
)

// open are the standing rows whose entries every plan looks at again. It says
// the same as the selection of package mirrors. $2 is now.
const open = `kind IN ('refused', 'dispute', 'failed', 'excluded', 'unresolved') OR kind = 'due' AND due_at <= $2`

// Plans is the tables.
type Plans struct{ DB *db.DB }

// held runs fn in a transaction of the lease's holder.
func (s *Plans) held(ctx context.Context, lease mirror.Lease, fn func(*db.Tx) error) error {
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := leases.Hold(ctx, tx, lease); err != nil {
			return err
		}
		return fn(tx)
	})
}

// Begin makes a plan that is not whole yet, in place of any earlier one that
// never became whole.
func (s *Plans) Begin(ctx context.Context, lease mirror.Lease, p *engine.Plan) error {
	return s.held(ctx, lease, func(tx *db.Tx) error {
		const mine = `(SELECT id FROM plans WHERE connection = $1 AND state = 'building')`
		for _, q := range []string{`DELETE FROM plan_chunks WHERE plan IN ` + mine, `DELETE FROM plans WHERE id IN ` + mine} {
			if _, err := tx.Exec(ctx, q, p.Connection); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `INSERT INTO plans (id, organization, connection, state, basis, created_at) VALUES ($1, $2, $3, 'building', $4, $5)`,
			p.ID, p.Organization, p.Connection, string(p.BasisText), db.Micros(p.CreatedAt))
		return err
	})
}

// Append adds a chunk.
func (s *Plans) Append(ctx context.Context, lease mirror.Lease, id, part string, c plan.Chunk) error {
	return s.held(ctx, lease, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO plan_chunks (plan, part, seq, first, kinds, body) VALUES ($1, $2, $3, $4, $5, $6)`, id, part, c.Seq, c.First, c.Kinds, c.Body)
		return err
	})
}

// Finish makes a plan whole. Plans of the connection that waited are superseded,
// and their runs with them; see supersede.
func (s *Plans) Finish(ctx context.Context, lease mirror.Lease, p *engine.Plan, overlaps []engine.Overlap) error {
	because, err := json.Marshal(p.HeldBecause)
	if err != nil {
		return err
	}
	summary, err := json.Marshal(p.Summary)
	if err != nil {
		return err
	}
	return s.held(ctx, lease, func(tx *db.Tx) error {
		if err := supersede(ctx, tx, p); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE plans SET state = $2, verdict = $3, hash = $4, held_because = $5, summary = $6, chunks = $7, run = $8 WHERE id = $1`,
			p.ID, string(p.State), string(p.Verdict), p.Hash, string(because), string(summary), p.Chunks, text(p.Run)); err != nil {
			return err
		}
		if err := pruneLast(ctx, tx, p.Connection); err != nil {
			return err
		}
		return outlook(ctx, tx, p, overlaps)
	})
}

// outlook keeps what a plan says of its connection besides its rows.
func outlook(ctx context.Context, tx *db.Tx, p *engine.Plan, overlaps []engine.Overlap) error {
	if p.Basis.Reverts != "" || p.Basis.Draft != "" {
		return nil
	}
	if _, err := tx.Exec(ctx, `UPDATE connections SET undecided = $2, mapping = $3 WHERE alias = $1`, p.Connection, p.Summary.Disputes+p.Summary.Refused, string(p.Mapping)); err != nil {
		return err
	}
	return setOverlaps(ctx, tx, p, overlaps)
}

// supersede puts a plan in the place of those of its connection that waited. One
// that was made with settings which are not saved takes the place of its like
// alone: what waits for a person waits on.
func supersede(ctx context.Context, tx *db.Tx, p *engine.Plan) error {
	var old []string
	err := db.Each(ctx, tx, `SELECT id, basis FROM plans WHERE connection = $1 AND state IN ('ready', 'held') AND id <> $2`, []any{p.Connection, p.ID}, func(rows *sql.Rows) error {
		var id, text string
		if err := rows.Scan(&id, &text); err != nil {
			return err
		}
		var basis plan.Basis
		err := json.Unmarshal([]byte(text), &basis)
		if p.Basis.Draft == "" || basis.Draft != "" {
			old = append(old, id)
		}
		return err
	})
	for _, id := range old {
		if err != nil {
			return err
		}
		if _, err = tx.Exec(ctx, `UPDATE runs SET state = 'rejected', error = 'a later plan took the place of its plan' WHERE state = 'held' AND plan = $1`, id); err == nil {
			_, err = tx.Exec(ctx, `UPDATE plans SET state = 'superseded', ended_at = $2 WHERE id = $1`, id, db.Micros(p.CreatedAt))
		}
	}
	return err
}

// Same gives the plan that waits and is the same as one just built, or nil.
func (s *Plans) Same(ctx context.Context, p *engine.Plan) (*engine.Plan, error) {
	list, err := s.query(ctx, `SELECT `+columns+` FROM plans WHERE connection = $1 AND hash = $2 AND state IN ('ready', 'held') AND id <> $3`, p.Connection, p.Hash, p.ID)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return list[0], nil
}

// Keep throws a plan just built away in favour of the same one that waits, which
// becomes the plan of the later run. What it says beside its rows is what the later one
// found: other connections of the organization went on meanwhile.
func (s *Plans) Keep(ctx context.Context, lease mirror.Lease, waits, built *engine.Plan, overlaps []engine.Overlap) error {
	summary, err := json.Marshal(built.Summary)
	if err != nil {
		return err
	}
	return s.held(ctx, lease, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM plan_chunks WHERE plan = $1 AND part = 'notes'`, waits.ID); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE plan_chunks SET plan = $2 WHERE plan = $1 AND part = 'notes'`, built.ID, waits.ID); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE plans SET summary = $2 WHERE id = $1`, waits.ID, string(summary)); err != nil {
			return err
		}
		if err := outlook(ctx, tx, built, overlaps); err != nil {
			return err
		}
		for _, q := range []string{`DELETE FROM plan_chunks WHERE plan = $1`, `DELETE FROM plans WHERE id = $1`} {
			if _, err := tx.Exec(ctx, q, built.ID); err != nil {
				return err
			}
		}
		if built.Run == nil {
			return nil
		}
		if _, err := tx.Exec(ctx, `UPDATE runs SET state = 'rejected', error = 'a later run came to the same plan, which waits there' WHERE id = $1 AND state = 'held'`, text(waits.Run)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE plans SET run = $2 WHERE id = $1`, waits.ID, text(built.Run))
		return err
	})
}

func setOverlaps(ctx context.Context, tx *db.Tx, p *engine.Plan, overlaps []engine.Overlap) error {
	if _, err := tx.Exec(ctx, `DELETE FROM claims WHERE claimant = $1`, p.Connection); err != nil {
		return err
	}
	columns := []string{"organization", "account", "owner", "owner_key", "claimant", "claimant_key", "claimant_name"}
	return tx.Insert(ctx, "claims", columns, len(overlaps), func(i int, into []any) {
		o := &overlaps[i]
		into[0], into[1], into[2], into[3] = p.Organization, o.Account[:], o.Owner, o.OwnerKey[:]
		into[4], into[5], into[6] = p.Connection, o.ClaimantKey[:], o.Name
	}, "")
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

const columns = `id, organization, connection, run, state, verdict, hash, held_because, summary, basis, chunks, applied, decided_by, created_at, pruned > 0`

func scan(rows *sql.Rows) (*engine.Plan, error) {
	var p engine.Plan
	var run, because, summary, basis, decided string
	var created int64
	if err := rows.Scan(&p.ID, &p.Organization, &p.Connection, &run, &p.State, &p.Verdict, &p.Hash, &because, &summary, &basis, &p.Chunks, &p.Applied, &decided, &created, &p.Pruned); err != nil {
		return nil, err
	}
	if run != "" {
		p.Run = &run
	}
	if decided != "" {
		p.DecidedBy = &decided
	}
	p.CreatedAt, p.BasisText = db.Time(created), []byte(basis)
	err := errors.Join(json.Unmarshal([]byte(because), &p.HeldBecause), json.Unmarshal([]byte(summary), &p.Summary), json.Unmarshal(p.BasisText, &p.Basis))
	p.Basis.At = p.CreatedAt
	return &p, err
}

// Get gives a plan by its ID, a unique beginning of it, or "last".
func (s *Plans) Get(ctx context.Context, id string) (*engine.Plan, error) { return s.Find(ctx, "", id) }

// Find is Get among the plans of an organization, "" for all of them.
func (s *Plans) Find(ctx context.Context, organization, id string) (*engine.Plan, error) {
	const whole, mine = `SELECT ` + columns + ` FROM plans WHERE state <> 'building'`, ` AND ($2 = '' OR organization = $2)`
	// People write the beginning of an ID; everybody else has all of it, and must
	// not wait for a look at every plan.
	list, err := s.query(ctx, whole+` AND id = $1`+mine, id, organization)
	switch {
	case err != nil || len(list) == 1:
	case id == "last":
		list, err = s.query(ctx, whole+` AND ($1 = '' OR organization = $1) ORDER BY created_at DESC LIMIT 1`, organization)
	case len(id) >= 4:
		list, err = s.query(ctx, whole+` AND substr(id, 1, length($1)) = $1`+mine+` ORDER BY created_at DESC LIMIT 2`, id, organization)
	}
	switch {
	case err != nil:
		return nil, err
	case len(list) == 0:
		return nil, fault.New(fault.NotFound, "there is no plan %q", id).WithHint("`rollcall plans list` shows them")
	case len(list) == 2:
		return nil, fault.New(fault.Invalid, "%q begins the ID of several plans", id).WithHint("give more of it")
	}
	return list[0], nil
}

// List gives plans, the newest first.
func (s *Plans) List(ctx context.Context, connection string, limit int) ([]*engine.Plan, error) {
	return s.query(ctx, `SELECT `+columns+` FROM plans WHERE state <> 'building' AND ($1 = '' OR connection = $1) ORDER BY created_at DESC, id DESC LIMIT $2`, connection, limit)
}

// Unfinished gives the plan that was being applied when its process ended.
func (s *Plans) Unfinished(ctx context.Context, connection string) (*engine.Plan, error) {
	list, err := s.query(ctx, `SELECT `+columns+` FROM plans WHERE connection = $1 AND state = 'applying' LIMIT 1`, connection)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return list[0], nil
}

func (s *Plans) query(ctx context.Context, query string, args ...any) ([]*engine.Plan, error) {
	var out []*engine.Plan
	err := db.Each(ctx, s.DB.Reader(), query, args, func(rows *sql.Rows) error {
		p, err := scan(rows)
		out = append(out, p)
		return err
	})
	return out, err
}

// Chunk gives one chunk's body.
func (s *Plans) Chunk(ctx context.Context, id, part string, seq int) ([]byte, error) {
	var body []byte
	err := s.DB.Reader().QueryRowContext(ctx, `SELECT body FROM plan_chunks WHERE plan = $1 AND part = $2 AND seq = $3`, id, part, seq).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		if p, err := s.Get(ctx, id); err == nil && p.Pruned {
			return nil, p.Gone()
		}
		return nil, fault.New(fault.Conflict, "plan %s: a chunk is missing", id).
			WithHint("make the plan again; if this comes back, the database was altered from outside")
	}
	return body, db.Explain("read plan "+id, err)
}

// Notes hands on a plan's notes, those of changes that failed last.
func (s *Plans) Notes(ctx context.Context, id string, fn func(plan.Note) error) error {
	return db.Each(ctx, s.DB.Reader(), `SELECT body FROM plan_chunks WHERE plan = $1 AND part <> 'changes' ORDER BY part DESC, seq`, []any{id}, func(rows *sql.Rows) error {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return err
		}
		notes, err := plan.Notes(body)
		for _, n := range notes {
			if err == nil {
				err = fn(n)
			}
		}
		return err
	})
}

// Excluded gives the rows a person took out of a plan.
func (s *Plans) Excluded(ctx context.Context, id string) (map[int64]bool, error) {
	out := map[int64]bool{}
	err := db.Each(ctx, s.DB.Reader(), `SELECT seq FROM plan_excluded WHERE plan = $1`, []any{id}, func(rows *sql.Rows) error {
		var seq int64
		err := rows.Scan(&seq)
		out[seq] = true
		return err
	})
	return out, err
}

// Start moves a plan to applying, unless there are no seats for it any more, which is a
// fault.Held.
func (s *Plans) Start(ctx context.Context, lease mirror.Lease, p *engine.Plan, excluded []int64, run *engine.Run) error {
	return s.held(ctx, lease, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE plans SET state = 'applying', decided_by = $2, run = $3 WHERE id = $1 AND state IN ('ready', 'held')`, p.ID, run.Actor, text(p.Run))
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Conflict, "plan %s is %s", p.ID, p.State).WithHint("only a plan that is ready or held can be applied; make a new one with `rollcall plan %s`", p.Connection)
		}
		if p.State == plan.Waiting {
			if err := decision(ctx, tx, p, event.PlanApproved, run.Actor); err != nil {
				return err
			}
		}
		err = tx.Insert(ctx, "plan_excluded", []string{"plan", "seq"}, len(excluded), func(i int, into []any) {
			into[0], into[1] = p.ID, excluded[i]
		}, "ON CONFLICT DO NOTHING")
		if err == nil {
			err = seated(ctx, tx, p, len(excluded) > 0)
		}
		if err == nil {
			err = runs.Write(ctx, tx, run)
		}
		if err == nil {
			p.State = plan.Applying
		}
		return err
	})
}

func decision(ctx context.Context, tx *db.Tx, p *engine.Plan, t event.Type, actor string) error {
	after, err := json.Marshal(map[string]string{"plan": p.ID, "hash": p.Hash})
	if err != nil {
		return err
	}
	return events.Append(ctx, tx, []event.Event{{Type: t, Organization: p.Organization, Connection: &p.Connection, Run: p.Run, At: time.Now().UTC(), Actor: actor, After: after}})
}

// Reject ends a plan that waits.
func (s *Plans) Reject(ctx context.Context, lease mirror.Lease, p *engine.Plan, actor string) error {
	return s.held(ctx, lease, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE plans SET state = 'rejected', ended_at = `+tx.Now()+`, decided_by = $2 WHERE id = $1 AND state IN ('ready', 'held')`, p.ID, actor)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Conflict, "plan %s is %s, there is nothing to reject", p.ID, p.State)
		}
		if _, err := tx.Exec(ctx, `UPDATE runs SET state = 'rejected', finished_at = `+tx.Now()+` WHERE id = $1 AND state = 'held'`, text(p.Run)); err != nil {
			return err
		}
		return decision(ctx, tx, p, event.PlanRejected, actor)
	})
}

// Abandon ends a plan that was started and cannot be carried on.
func (s *Plans) Abandon(ctx context.Context, lease mirror.Lease, p *engine.Plan, run *engine.Run) error {
	return s.held(ctx, lease, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE plans SET state = 'rejected', ended_at = $2 WHERE id = $1 AND state = 'applying'`, p.ID, db.Micros(*run.FinishedAt)); err != nil {
			return err
		}
		return runs.Write(ctx, tx, run)
	})
}

// Complete ends an applied plan.
func (s *Plans) Complete(ctx context.Context, lease mirror.Lease, p *engine.Plan, run *engine.Run, extra []plan.Note) error {
	return s.held(ctx, lease, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE plans SET state = 'applied', ended_at = $2 WHERE id = $1`, p.ID, db.Micros(*run.FinishedAt)); err != nil {
			return err
		}
		if p.Basis.Reverts == "" {
			if err := s.settle(ctx, tx, p); err != nil {
				return err
			}
		} else if undid(run.Summary) {
			if _, err := tx.Exec(ctx, `UPDATE runs SET state = 'reverted' WHERE id = $1`, p.Basis.Reverts); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `UPDATE connections SET attention = $2 WHERE alias = $1`, p.Connection,
				"Run "+p.Basis.Reverts+" was reverted; this plan may do again what was undone."); err != nil {
				return err
			}
		}
		if err := stand(ctx, tx, p.Connection, extra); err != nil {
			return err
		}
		if err := unmanage(ctx, tx, p, run); err != nil {
			return err
		}
		return runs.Write(ctx, tx, run)
	})
}

// undid reports that a run of which this is the summary undid another: one of which
// nothing could be undone is not over by that.
func undid(s *plan.Summary) bool { return s.Changes() > 0 || s.Failed == 0 && s.Refused == 0 }

// settle makes the plan's basis the connection's own: from here on only what
// moves later, and what this plan left open, is planned.
func (s *Plans) settle(ctx context.Context, tx *db.Tx, p *engine.Plan) error {
	forget, args := `DELETE FROM standing WHERE connection = $1`, []any{p.Connection}
	if !p.Basis.All {
		forget += ` AND (` + open + ` OR key IN (SELECT key FROM standing WHERE connection = $1 AND (` + open + `))
			OR key IN (SELECT key FROM mirror WHERE connection = $1 AND (generation > $3 OR gone > $3)))`
		var planned int64
		if err := tx.QueryRowContext(ctx, `SELECT planned FROM connections WHERE alias = $1`, p.Connection).Scan(&planned); err != nil {
			return db.Explain("read the connection", err)
		}
		args = append(args, db.Micros(p.Basis.At), planned)
	}
	if _, err := tx.Exec(ctx, forget, args...); err != nil {
		return err
	}
	notes, err := noted(ctx, tx, p.ID)
	if err != nil {
		return err
	}
	if p.Basis.Revised {
		if err := forgetOthers(ctx, tx, p.Connection, notes); err != nil {
			return err
		}
	}
	if err := replace(ctx, tx, p.Connection, notes); err != nil {
		return err
	}
	if err := stand(ctx, tx, p.Connection, notes); err != nil {
		return err
	}
	if p.Basis.Draft != "" {
		// The mirror was not read with these rules: the next reading is a full one, and
		// whatever it brings is planned.
		_, err = tx.Exec(ctx, `UPDATE connections SET planned = 0, cursor = NULL, rules = $2, rules_text = $3, attention = '' WHERE alias = $1`, p.Connection, p.Basis.Rules, p.Basis.RulesText)
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE connections SET planned = $2, rules = $3, rules_text = $4, attention = '' WHERE alias = $1`, p.Connection, p.Basis.Generation, p.Basis.Rules, p.Basis.RulesText)
	return err
}

// forgetOthers forgets what was noted of entries that a plan for new rules looked at
// and has nothing to say of any more. What it says again, or carries on, it lists.
func forgetOthers(ctx context.Context, tx *db.Tx, connection string, notes []plan.Note) error {
	listed := map[directory.Digest]bool{}
	for i := range notes {
		listed[notes[i].Key] = true
	}
	over := map[directory.Digest]bool{}
	err := db.Each(ctx, tx, `SELECT key FROM standing WHERE connection = $1`, []any{connection}, func(rows *sql.Rows) error {
		var key directory.Digest
		err := rows.Scan(db.Digest{To: (*[16]byte)(&key)})
		if !listed[key] {
			over[key] = true
		}
		return err
	})
	if err != nil {
		return err
	}
	return unstand(ctx, tx, connection, slices.Collect(maps.Keys(over)))
}

func unstand(ctx context.Context, tx *db.Tx, connection string, keys []directory.Digest) error {
	for part := range slices.Chunk(keys, 500) {
		args := []any{connection}
		for i := range part {
			args = append(args, part[i][:])
		}
		if _, err := tx.Exec(ctx, `DELETE FROM standing WHERE connection = $1 AND key IN `+db.In(2, len(part)), args...); err != nil {
			return err
		}
	}
	return nil
}

// replace takes away what stands for entries the plan noted something about: an
// entry may also have been planned for somebody else's sake, a manager's or
// another connection's, and what it says now is all there is to say.
func replace(ctx context.Context, tx *db.Tx, connection string, notes []plan.Note) error {
	var keys []directory.Digest
	for i := range notes {
		if !notes[i].Carried {
			keys = append(keys, notes[i].Key)
		}
	}
	return unstand(ctx, tx, connection, keys)
}

func stand(ctx context.Context, tx *db.Tx, connection string, notes []plan.Note) error {
	// What was carried over stands already, but where a new note took its entry's place
	// (see replace): that of somebody who came into a ring of managers, say.
	fresh := map[directory.Digest][]string{}
	for i := range notes {
		if n := &notes[i]; !n.Carried {
			fresh[n.Key] = append(fresh[n.Key], string(n.Kind)+n.Text)
		}
	}
	kept := notes[:0:0]
	for _, n := range notes {
		if said := fresh[n.Key]; !n.Carried || said != nil && !slices.Contains(said, string(n.Kind)+n.Text) {
			kept = append(kept, n)
		}
	}
	abouts := make([]string, len(kept))
	for i := range kept {
		var err error
		if abouts[i], err = about(kept[i].About); err != nil {
			return err
		}
	}
	return tx.Insert(ctx, "standing", []string{"connection", "key", "kind", "name", "external_id", "account", "text", "due_at", "about"}, len(kept), func(i int, into []any) {
		n := &kept[i]
		into[0], into[1], into[2], into[3], into[4] = connection, n.Key[:], string(n.Kind), n.Name, string(n.ExternalID)
		into[5] = nil
		if !n.Account.IsZero() {
			into[5] = n.Account[:]
		}
		into[6], into[7], into[8] = n.Text, db.Micros(n.DueAt), abouts[i]
	}, "")
}

func about(a *match.About) (string, error) {
	if a == nil {
		return "", nil
	}
	b, err := json.Marshal(a)
	return string(b), err
}

// standing selects what is still true of those who are not planned again. Each of them
// is looked up: a list of all who are may be long (see mirrors.still).
const standing = `SELECT s.key, s.kind, s.name, s.external_id, s.account, s.text, s.due_at, s.about FROM standing s WHERE s.connection = $1 AND NOT (` + open + `)
	AND NOT EXISTS (SELECT 1 FROM standing o WHERE o.connection = $1 AND o.key = s.key AND (` + open + `))
	AND NOT EXISTS (SELECT 1 FROM mirror m WHERE m.connection = $1 AND m.key = s.key AND (m.generation > $3 OR m.gone > $3)) ORDER BY s.key, s.kind`

// Standing hands on what earlier plans left for rows the selection does not plan
// again: problems and warnings that are still true.
func (s *Plans) Standing(ctx context.Context, connection string, sel engine.Selection, fn func(plan.Note) error) error {
	if sel.All {
		return nil
	}
	return s.standing(ctx, standing, []any{connection, db.Micros(sel.Now), sel.Planned}, fn)
}

// Open hands on what is left standing for one entry.
func (s *Plans) Open(ctx context.Context, connection string, key directory.Digest, fn func(plan.Note) error) error {
	return s.standing(ctx, `SELECT key, kind, name, external_id, account, text, due_at, about FROM standing WHERE connection = $1 AND key = $2 ORDER BY kind, text`,
		[]any{connection, key[:]}, fn)
}

// Taken hands on what people took out of plans of a connection and was not done since.
func (s *Plans) Taken(ctx context.Context, connection string, fn func(plan.Note) error) error {
	return s.standing(ctx, `SELECT key, kind, name, external_id, account, text, due_at, about FROM standing WHERE connection = $1 AND kind = 'excluded' ORDER BY key`, []any{connection}, fn)
}

// AllOpen hands on everything that is left standing for a connection.
func (s *Plans) AllOpen(ctx context.Context, connection string, fn func(plan.Note) error) error {
	return s.standing(ctx, `SELECT key, kind, name, external_id, account, text, due_at, about FROM standing WHERE connection = $1 ORDER BY kind, name`, []any{connection}, fn)
}

func (s *Plans) standing(ctx context.Context, query string, args []any, fn func(plan.Note) error) error {
	return db.Each(ctx, s.DB.Scanner(), query, args, func(rows *sql.Rows) error {
		n := plan.Note{Carried: true}
		var due int64
		var about string
		if err := rows.Scan(db.Digest{To: (*[16]byte)(&n.Key)}, &n.Kind, &n.Name, &n.ExternalID, &n.Account, &n.Text, &due, &about); err != nil {
			return err
		}
		if about != "" {
			if err := json.Unmarshal([]byte(about), &n.About); err != nil {
				return fmt.Errorf("database: what is noted of %s cannot be read: %w", n.Name, err)
			}
		}
		n.DueAt = db.Time(due)
		return fn(n)
	})
}
