package agents

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/db"
)

// Presence is an agent's connection to one node.
type Presence struct {
	Node    string
	Address string // it came from
	Version string
	Since   time.Time
	SeenAt  time.Time
	Latency time.Duration
	Problem string // what it says is wrong, "" nothing
}

// BeatEvery is how often a node reports an agent that is connected to it; one that was
// not reported for Silence is not connected any more. An agent that comes and goes is
// told of once in ToldEvery.
const (
	BeatEvery = 10 * time.Second
	Silence   = 35 * time.Second
	ToldEvery = time.Minute

	longestText = 500 // of what an agent says of itself
)

// say makes what an agent says of itself fit to be kept.
func say(s string) string {
	if len(s) > longestText {
		s = s[:longestText]
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// seen adds where agents are connected. All are of one page.
func (s *Agents) seen(ctx context.Context, list []Agent) error {
	if len(list) == 0 {
		return nil
	}
	by := map[string]*Agent{}
	marks, args := make([]string, len(list)), make([]any, len(list))
	for i := range list {
		by[list[i].ID] = &list[i]
		marks[i], args[i] = "$"+strconv.Itoa(i+1), list[i].ID
	}
	return db.Each(ctx, s.DB.Reader(), `SELECT agent, node, address, version, since, seen_at, latency, problem FROM agent_presences
		WHERE agent IN (`+strings.Join(marks, ", ")+`) AND seen_at > `+silent(s.DB.Now())+` ORDER BY agent, since, node`, args, func(rows *sql.Rows) error {
		var id string
		var p Presence
		var since, seen, latency int64
		err := rows.Scan(&id, &p.Node, &p.Address, &p.Version, &since, &seen, &latency, &p.Problem)
		if a := by[id]; a != nil {
			p.Since, p.SeenAt, p.Latency = db.Time(since), db.Time(seen), time.Duration(latency)*time.Microsecond
			a.Seen = append(a.Seen, p)
		}
		return err
	})
}

// silent is, as SQL, the time before which a sign of life is too old.
func silent(now string) string { return now + ` - ` + strconv.FormatInt(Silence.Microseconds(), 10) }

// Report notes that an agent is connected to a node, at once and every BeatEvery; its
// Since and SeenAt are the database's. At the first report of a connection the policy
// and the kind of source it has are given ("" where its file names none); a nil policy
// leaves both as they are. An agent that was revoked is a fault.Denied.
func (s *Agents) Report(ctx context.Context, id string, p Presence, kind string, policy *setting.Policy) error {
	said := ""
	if policy != nil {
		text, err := json.Marshal(policy)
		if err != nil {
			return err
		}
		said = string(text)
	}
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		a, told, err := s.lively(ctx, tx, id)
		if err != nil {
			return err
		}
		now := tx.Now()
		if _, err := tx.Exec(ctx, `DELETE FROM agent_presences WHERE agent = $1 AND seen_at <= `+silent(now), id); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO agent_presences (agent, node, address, version, since, seen_at, latency, problem) VALUES ($1, $2, $3, $4, `+now+`, `+now+`, $5, $6)
			ON CONFLICT (agent, node) DO UPDATE SET address = excluded.address, version = excluded.version, seen_at = excluded.seen_at, latency = excluded.latency, problem = excluded.problem`,
			id, p.Node, say(p.Address), say(p.Version), p.Latency.Microseconds(), say(p.Problem)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE agents SET seen_at = `+now+`, version = $2 WHERE id = $1`, id, say(p.Version)); err != nil {
			return err
		}
		if policy != nil {
			if _, err := tx.Exec(ctx, `UPDATE agents SET kind = $2, policy = $3 WHERE id = $1`, id, say(kind), said); err != nil {
				return err
			}
		}
		if told {
			return nil
		}
		n, err := tx.Exec(ctx, `UPDATE agents SET told = $2, told_at = `+now+` WHERE id = $1 AND told_at <= `+now+` - `+strconv.FormatInt(ToldEvery.Microseconds(), 10), id, true)
		if err != nil || n == 0 {
			return err
		}
		return tell(ctx, tx, event.AgentConnected, a, "agent:"+id, s.now(), map[string]any{"node": p.Node, "address": say(p.Address), "version": say(p.Version)})
	})
}

// lively gives an agent that may be connected, locked.
func (s *Agents) lively(ctx context.Context, tx *db.Tx, id string) (a *Agent, told bool, err error) {
	a = &Agent{}
	err = tx.QueryRowContext(ctx, `SELECT id, organization, connection, name, told FROM agents WHERE id = $1 AND revoked_at = 0`+tx.Locked(), id).Scan(&a.ID, &a.Organization, &a.Connection, &a.Name, &told)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, fault.New(fault.Denied, "agent %s is revoked", id).WithHint("make another one")
	}
	return a, told, db.Explain("read the agent", err)
}

// Gone notes that an agent is not connected to a node any more. Of one that was
// revoked meanwhile there is nothing to note.
func (s *Agents) Gone(ctx context.Context, id, node string) error {
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		_, _, err := s.lively(ctx, tx, id) // first, as in Report: who comes and who goes would wait for each other
		if fault.KindOf(err) == fault.Denied {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM agent_presences WHERE agent = $1 AND node = $2`, id, node); err != nil {
			return err
		}
		return s.left(ctx, tx, id, "")
	})
}

// Sweep forgets connections to nodes that ended without a word. A node calls it now
// and then.
func (s *Agents) Sweep(ctx context.Context) error {
	var quiet []string
	err := db.Each(ctx, s.DB.Reader(), `SELECT id FROM agents a WHERE told AND NOT EXISTS (SELECT 1 FROM agent_presences p WHERE p.agent = a.id AND p.seen_at > `+silent(s.DB.Now())+`)`, nil, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		quiet = append(quiet, id)
		return err
	})
	for _, id := range quiet {
		if err == nil {
			err = s.DB.Write(ctx, func(tx *db.Tx) error { return s.left(ctx, tx, id, "nothing was heard of it") })
		}
	}
	return err
}

// left tells of an agent that is connected to no node any more.
func (s *Agents) left(ctx context.Context, tx *db.Tx, id, reason string) error {
	a, told, err := s.lively(ctx, tx, id)
	if fault.KindOf(err) == fault.Denied {
		return nil
	}
	if err != nil || !told {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM agent_presences WHERE agent = $1 AND seen_at <= `+silent(tx.Now()), id); err != nil {
		return err
	}
	var still int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM agent_presences WHERE agent = $1`, id).Scan(&still); err != nil {
		return db.Explain("look where the agent is connected", err)
	}
	if still > 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, `UPDATE agents SET told = $2 WHERE id = $1`, id, false); err != nil {
		return err
	}
	var more map[string]any
	if reason != "" {
		more = map[string]any{"reason": reason}
	}
	return tell(ctx, tx, event.AgentDisconnected, a, "agent:"+id, s.now(), more)
}
