// Package apply carries out a stored plan: exactly that plan, chunk by chunk,
// each chunk one transaction with its events and its progress. What cannot be
// written is handed back with its reason; its neighbours go in.
package apply

import (
	"context"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/fault"
)

// Batch is one chunk to be written.
type Batch struct {
	Lease        mirror.Lease
	Organization string
	Run          string
	Plan         string
	Actor        string
	Seq          int // the chunk's number; the ledger refuses any but the next
	Chunks       int // how many the plan has
	Basis        plan.Basis
	Match        []string // the connection's further matching attributes
	Changes      []plan.Change
}

// Outcome is a change that could not be written.
type Outcome struct {
	Change *plan.Change
	Failed string // why, in one sentence
}

// Notes tells of outcomes as a plan notes them.
func Notes(outcomes []Outcome) []plan.Note {
	notes := make([]plan.Note, len(outcomes))
	for i, o := range outcomes {
		c := o.Change
		notes[i] = plan.Note{Kind: plan.Failed, Key: c.Key, Name: c.Name, ExternalID: c.ExternalID, Account: c.Account, Action: c.Action,
			Text: string(c.Action) + ": " + o.Failed, First: c.Seq, Rows: c.Rows()}
	}
	return notes
}

// Ledger writes a batch in one transaction: changes, events and the plan's
// progress, or nothing. An error means that nothing was written; outcomes tell
// of single changes that were left out while the rest went in.
type Ledger interface {
	Commit(ctx context.Context, b Batch) ([]Outcome, error)
	// Index keeps, from now on and for all accounts there are, the values by which a
	// connection finds accounts besides username and e-mail address, and forgets
	// what no connection of the organization finds them by any more. configured are
	// the connections there are.
	Index(ctx context.Context, lease mirror.Lease, organization string, names, configured []string) error
	// Purge ends accounts that have been flagged deleted since before a time, but for those
	// of whose entries something is left open, by the batch's plan too, and those to spare.
	Purge(ctx context.Context, b Batch, before time.Time, spare []account.ID) (int, error)
	// Ready does what the ledger put off to be quicker while much was written: no
	// answer depends on it, but how soon it comes. Whoever is about to ask much calls
	// it too, and so does who ends without having come to the last batch. It fails
	// nobody's work.
	Ready(ctx context.Context)
}

// Stored is a plan as the store keeps it.
type Stored struct {
	ID, Hash  string
	Chunks    int
	Applied   int // chunks written by an earlier attempt
	BasisText []byte
	Basis     plan.Basis
	Excluded  map[int64]bool
}

// Chunks reads a plan's chunks.
type Chunks interface {
	Chunk(ctx context.Context, plan, part string, seq int) ([]byte, error)
}

// Verify recomputes the hash of what is stored and compares it with the hash
// the plan was shown under.
func Verify(ctx context.Context, s *Stored, from Chunks) error {
	v := plan.NewVerify(s.BasisText)
	for seq := range s.Chunks {
		body, err := from.Chunk(ctx, s.ID, "changes", seq)
		if err != nil {
			return err
		}
		v.Add(body)
	}
	if v.Hash() != s.Hash {
		return fault.New(fault.Conflict, "plan %s is not what its hash says; it is not applied", s.ID).
			WithHint("make the plan again; if this comes back, the database was altered from outside")
	}
	return nil
}

// Run carries out the chunks that are not written yet. progress is told the
// rows done so far; it may be nil.
func Run(ctx context.Context, b Batch, s *Stored, from Chunks, to Ledger, progress func(rows int64)) ([]Outcome, error) {
	var failed []Outcome
	var rows int64
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	chunks := decode(ctx, s, from)
	b.Chunks = s.Chunks
	for seq := s.Applied; seq < s.Chunks; seq++ {
		if err := ctx.Err(); err != nil {
			return failed, err
		}
		var next chunk
		select {
		case next = <-chunks:
		case <-ctx.Done(): // whoever decodes ends by it too, and sends nothing any more
			return failed, ctx.Err()
		}
		if next.err != nil {
			return failed, next.err
		}
		for i := range next.changes {
			rows += next.changes[i].Rows()
		}
		b.Seq, b.Changes = seq, Without(next.changes, s.Excluded)
		outcomes, err := to.Commit(ctx, b)
		if err != nil {
			return failed, err
		}
		failed = append(failed, outcomes...)
		if seq == s.Chunks-1 {
			to.Ready(ctx)
		}
		if progress != nil {
			progress(rows)
		}
	}
	return failed, nil
}

// chunk is one decoded chunk, or why there is none.
type chunk struct {
	changes []plan.Change
	err     error
}

// decode reads ahead: the next chunk, and no more, is decoded while one is being written. It
// ends by itself, after the last chunk, an error, or when ctx is cancelled.
func decode(ctx context.Context, s *Stored, from Chunks) <-chan chunk {
	out := make(chan chunk)
	go func() {
		for seq := s.Applied; seq < s.Chunks; seq++ {
			var c chunk
			body, err := from.Chunk(ctx, s.ID, "changes", seq)
			if c.err = err; err == nil {
				c.changes, c.err = plan.Changes(body)
			}
			select {
			case out <- c:
			case <-ctx.Done():
				return
			}
			if c.err != nil {
				return
			}
		}
	}()
	return out
}

// Without leaves out excluded rows.
func Without(changes []plan.Change, excluded map[int64]bool) []plan.Change {
	if len(excluded) == 0 {
		return changes
	}
	out := changes[:0]
	for _, c := range changes {
		if c.Target != plan.Membership {
			if !excluded[c.Seq] {
				out = append(out, c)
			}
			continue
		}
		var members []account.ID
		for i, m := range c.Members {
			if !excluded[c.Seq+int64(i)] {
				members = append(members, m)
			}
		}
		if c.Members = members; len(members) > 0 {
			out = append(out, c)
		}
	}
	return out
}
