// Package mirror keeps the latest full picture of each connection's directory
// and hands its rows on to the later stages. Full readings, incremental ones
// and pushed changes all become this picture.
//
// An unchanged entry costs a hash comparison and no write. What did change is
// written under the next generation, which nobody sees until the reading's
// verdict is in; then one transaction publishes it, or it is thrown away.
package mirror

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
)

// Row is one entry in the mirror.
type Row struct {
	Key        directory.Digest
	Kind       directory.Kind
	ExternalID directory.ExternalID // "" for an entry without a usable key
	Name       string
	Ref        directory.Digest // of the normalised ref
	Hash       directory.Digest
	Record     []byte // the encoded record
	Secret     string // argon2id form of a password the record carried
	Again      bool   // staged before in this reading: takes the place of that row
	Gone       bool
	Generation int64 // of the reading that brought it
	GoneSince  int64 // the generation from which on it is gone, 0 while it is there
}

// Store keeps mirror rows. Rows staged under a generation above the published
// one are invisible to everything but Publish and Discard.
type Store interface {
	// Known calls fn for every present row: its key, hash and kind.
	Known(ctx context.Context, connection string, fn func(key, hash directory.Digest, kind directory.Kind)) error
	// Stage writes rows under a generation that is not yet published.
	Stage(ctx context.Context, lease Lease, generation int64, rows []Row) error
	// Discard throws away what an unfinished reading staged.
	Discard(ctx context.Context, lease Lease) error
	// Publish makes a generation the current one, in one transaction: older
	// versions of its rows go, rows in gone are marked so (but for those whose
	// ref an unidentified row of the picture carries), the verdict is kept.
	Publish(ctx context.Context, lease Lease, generation int64, gone []directory.Digest, reading source.Reading) error
}

// Lease is the right to work on a connection. Every write checks the fence, so
// that a process which lost its lease cannot write any more.
type Lease struct {
	Connection string
	Fence      int64
}

// Secrets turns the passwords records carry into what may be kept.
type Secrets interface {
	Fingerprint(purpose, text string) (string, error)
	HashPassword(ctx context.Context, plain string) (string, error)
}

// Intake takes one reading into the mirror.
type Intake struct {
	Store   Store
	Lease   Lease
	Refer   func(string) string
	Secrets Secrets
	// Published is the current generation.
	Published int64
}

// batch is how many changed rows are written at once.
const batch = 1000

type known struct {
	hash   directory.Digest
	kind   directory.Kind
	seen   bool
	staged bool
}

// Result tells what a reading did to the mirror.
type Result struct {
	Reading    source.Reading
	Generation int64 // the published one
	Users      int   // people in the mirror now
	Groups     int   // groups in the mirror now
	Changed    int   // rows new or with other content
	Gone       int   // rows no longer there
}

// Take reads src to its end and publishes what it said, or leaves the mirror as
// it was when the reading broke off.
func (in *Intake) Take(ctx context.Context, src source.Source, req source.Request) (Result, error) {
	if err := in.Store.Discard(ctx, in.Lease); err != nil {
		return Result{}, err
	}
	rows := map[directory.Digest]known{}
	err := in.Store.Known(ctx, in.Lease.Connection, func(key, hash directory.Digest, kind directory.Kind) {
		rows[key] = known{hash: hash, kind: kind}
	})
	if err != nil {
		return Result{}, err
	}
	p := pass{Intake: in, ctx: ctx, rows: rows, generation: in.Published + 1, hashes: map[string]string{}}
	reading, err := src.Read(ctx, req, p.emit)
	reading.Reason = legible(reading.Reason)
	if failed := p.wait(); err == nil {
		err = failed
	}
	if err == nil && ctx.Err() != nil {
		// A reading that was cancelled may look finished; it is not.
		err = ctx.Err()
	}
	if err == nil {
		err = p.flush()
	}
	if failed := p.wait(); err == nil {
		err = failed
	}
	if err != nil {
		in.forget(ctx)
		return Result{}, err
	}
	var gone []directory.Digest
	if reading.Full {
		if reading.Complete {
			for key, k := range rows {
				if !k.seen {
					gone = append(gone, key)
				}
			}
		}
	} else {
		gone = p.removed
	}
	result := Result{Reading: reading, Generation: in.Published, Changed: p.changed, Gone: len(gone)}
	if p.changed > 0 || len(gone) > 0 {
		result.Generation = p.generation
	}
	for _, k := range rows {
		result.count(k.kind, 1)
	}
	for _, key := range gone {
		result.count(rows[key].kind, -1)
	}
	if err := in.Store.Publish(ctx, in.Lease, result.Generation, gone, reading); err != nil {
		return Result{}, err
	}
	return result, nil
}

// forget throws away what a reading that broke off had staged. Where that fails
// too, nobody sees the rows, and the next reading throws them away.
func (in *Intake) forget(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	_ = in.Store.Discard(ctx, in.Lease) //nolint:errcheck // see above
}

func (r *Result) count(kind directory.Kind, n int) {
	if kind == directory.User {
		r.Users += n
	} else {
		r.Groups += n
	}
}

type pass struct {
	*Intake
	ctx        context.Context
	rows       map[directory.Digest]known
	generation int64
	hasher     directory.Hasher
	staged     []Row
	spare      []Row      // the rows that are being written meanwhile
	writing    chan error // the outcome of that, nil while nothing is being written
	removed    []directory.Digest
	changed    int
	hashes     map[string]string // password fingerprint to its argon2id form, within this reading
}

func (p *pass) emit(r *directory.Record) error {
	if !storable(string(r.ID)) || !storable(r.Name) || !storable(r.Problem) {
		kept := *r
		if !storable(string(r.ID)) {
			kept.ID, kept.Problem = "", "its external ID is not valid text"
		}
		kept.Name, kept.Problem = legible(r.Name), legible(kept.Problem)
		r = &kept
	}
	key := directory.KeyOf(r.Kind, r.ID)
	if r.ID == "" {
		if r.Problem == "" {
			return fault.New(fault.Internal, "mirror: the source gave an entry %q without an ID and without a problem", r.Name)
		}
		key = unidentified(r)
	}
	if r.Gone {
		if k, ok := p.rows[key]; ok && !k.seen {
			p.removed = append(p.removed, key)
		}
		return nil
	}
	k, exists := p.rows[key]
	if exists && k.seen && r.ID == "" {
		return nil // told of twice: the first stands, and no batch holds a key twice
	}
	if exists && k.seen {
		// Two entries under one key: which is which cannot be told. The first
		// keeps its row; the second is shown as a problem under its own name.
		twin := *r
		twin.Problem = fmt.Sprintf("has the same external ID (%s) as another entry", r.ID)
		twin.ID = ""
		return p.emit(&twin)
	}
	salt := ""
	if r.Password != "" {
		var err error
		if salt, err = p.Secrets.Fingerprint("mirror password "+p.Lease.Connection, r.Password); err != nil {
			return err
		}
	}
	hash := p.hasher.Hash(r, salt)
	unchanged := exists && k.hash == hash
	again := exists && k.staged
	p.rows[key] = known{hash: hash, kind: r.Kind, seen: true, staged: again || !unchanged}
	if unchanged {
		return nil
	}
	p.changed++
	row := Row{Key: key, Kind: r.Kind, ExternalID: r.ID, Name: r.Name, Ref: directory.RefOf(p.Refer(r.Ref)),
		Hash: hash, Record: r.Append(nil), Generation: p.generation, Again: again}
	if r.Password != "" {
		if row.Secret = p.hashes[salt]; row.Secret == "" {
			secret, err := p.Secrets.HashPassword(p.ctx, r.Password)
			if err != nil {
				return err
			}
			row.Secret = secret
			p.hashes[salt] = secret
		}
	}
	p.staged = append(p.staged, row)
	if len(p.staged) >= batch {
		return p.flush()
	}
	return nil
}

// storable reports text that every database keeps: PostgreSQL takes neither NUL
// nor anything but UTF-8.
func storable(s string) bool {
	return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}

// legible puts a mark in place of what is not storable.
func legible(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// flush writes the staged rows beside the reading, one batch at a time: the
// directory is read on while the database is busy.
func (p *pass) flush() error {
	if err := p.wait(); err != nil || len(p.staged) == 0 {
		return err
	}
	clear(p.spare)
	p.staged, p.spare = p.spare[:0], p.staged
	p.writing = make(chan error, 1)
	go func(rows []Row, done chan<- error) {
		done <- p.Store.Stage(p.ctx, p.Lease, p.generation, rows)
	}(p.spare, p.writing)
	return nil
}

// wait ends the writing that is under way.
func (p *pass) wait() error {
	if p.writing == nil {
		return nil
	}
	err := <-p.writing
	p.writing = nil
	return err
}

// unidentified is the key of an entry that has no usable one: it stands under
// its ref, so that it is recognised from reading to reading.
func unidentified(r *directory.Record) directory.Digest {
	return directory.KeyOf(r.Kind, directory.ExternalID("\x00ref:"+r.Ref))
}
