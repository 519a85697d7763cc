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
	"slices"
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
	Record     []byte           // the encoded record
	Secret     string           // argon2id form of a password the record carried
	Primary    directory.Digest // of the normalised ref of the group it is in besides; zero for none
	Refs       []byte           // of a group: its members' refs, 16 bytes each
	Again      bool             // staged before in this reading: takes the place of that row
	Gone       bool
	Generation int64 // of the reading that brought it
	GoneSince  int64 // the generation from which on it is gone, 0 while it is there
}

// Counts are numbers of people and of groups. Groups that are read for their members
// alone are not among them.
type Counts [2]int

// Add counts n more of a kind.
func (c *Counts) Add(kind directory.Kind, n int) {
	if kind != directory.Inner {
		c[kind-directory.User] += n
	}
}

// Publication is what a finished reading makes of the picture.
type Publication struct {
	Generation int64
	Gone       []directory.Digest
	Reading    source.Reading
	Fresh      Counts // rows there now that were not
	// Told are entries that a reading of changes brought as they were before. Where refs
	// have former meanings, also since this very reading, they count as changed: their
	// words mean what they say now.
	Told []directory.Digest
	// Single says that some entries were read and the directory was not: the verdict
	// and the bookmark of the last reading stay.
	Single bool
}

// Store keeps mirror rows. Rows staged under a generation above the published
// one are invisible to everything but Publish and Discard.
type Store interface {
	// Known calls fn for every present row: its key, hash and kind.
	Known(ctx context.Context, connection string, fn func(key, hash directory.Digest, kind directory.Kind)) error
	// Find is Known for some keys.
	Find(ctx context.Context, connection string, keys []directory.Digest, fn func(key, hash directory.Digest, kind directory.Kind)) error
	// Stage writes rows under a generation that is not yet published.
	Stage(ctx context.Context, lease Lease, generation int64, rows []Row) error
	// Discard throws away what an unfinished reading staged.
	Discard(ctx context.Context, lease Lease) error
	// Publish makes a generation the current one, in one transaction: older
	// versions of its rows go, rows in Gone are marked so (but for those whose ref
	// an unidentified row of the picture carries), the verdict is kept. After a
	// reading of changes it is kept besides what the refs of entries that went, or
	// have another ref now, meant before: rows that were not read again still
	// mean that. A complete full reading ends this: rows to which names meant others until
	// then count as changed.
	Publish(ctx context.Context, lease Lease, p Publication) (users, groups int, err error)
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
	// HashSalted is the same hash for the same password and salt: a row that is read
	// again because something else in it changed brings no new password.
	HashSalted(ctx context.Context, plain, salt string) (string, error)
}

// Intake takes one reading into the mirror.
type Intake struct {
	Store   Store
	Lease   Lease
	Refer   func(string) string
	Secrets Secrets
	// Published is the current generation.
	Published int64
	// Single says that some entries are read, and nothing follows for others.
	Single bool
	// Former says that some refs mean what they meant at an earlier reading: then
	// what is read again counts as changed, also where it is the same.
	Former bool
}

// Changed rows are written so many at once, or as soon as they take so many bytes:
// a thousand groups may have as many members as there are people. The keys of a
// directory come in no order, so each batch touches most pages of the indexes: few
// and large ones write them less often.
const (
	batch      = 10_000
	batchBytes = 8 << 20
)

// Group is a group's row without its record.
type Group struct {
	Key        directory.Digest
	ExternalID directory.ExternalID
	Inner      bool // it is read for its members alone
	Ref        directory.Digest
	Generation int64
	Gone       bool
	Refs       []byte // valid until the callback returns
}

// fewLookups is up to how many keys a reading of changes looks up, before it is given
// all that are known.
const fewLookups = 5000

type known struct {
	hash    directory.Digest
	kind    directory.Kind
	there   bool // in the published picture
	seen    bool // in this reading
	staged  bool // in this reading, with other contents
	removed bool // in this reading
}

// Result tells what a reading did to the mirror.
//
// Groups that are read for their members alone are not counted, nor is that one came or
// went: the group around it changed by that. One with other members is, since nothing
// else may have changed, and people come and go by it.
type Result struct {
	Reading    source.Reading
	Generation int64 // the published one
	Users      int   // people in the mirror now
	Groups     int   // groups in the mirror now
	Changed    int   // rows new or with other content, see above
	Gone       int   // rows no longer there, likewise
}

// Take reads src to its end and publishes what it said, or leaves the mirror as
// it was when the reading broke off.
func (in *Intake) Take(ctx context.Context, src source.Source, req source.Request) (Result, error) {
	if err := in.Store.Discard(ctx, in.Lease); err != nil {
		return Result{}, err
	}
	p := pass{Intake: in, ctx: ctx, rows: map[directory.Digest]known{}, generation: in.Published + 1, hashes: map[string]string{}}
	if p.partial = req.From != nil; p.partial {
		req.Known, req.Soon, req.Keys, req.Anew = p.knows, p.soon, p.keys, p.anew
	} else {
		// What is known is read while the source connects.
		p.loading = make(chan error, 1)
		go func() { p.loading <- p.load() }()
	}
	reading, err := src.Read(ctx, req, p.emit)
	reading.Reason = legible(reading.Reason)
	if failed := p.await(); err == nil {
		err = failed
	}
	if failed := p.wait(); err == nil {
		err = failed
	}
	if err == nil && ctx.Err() != nil {
		// A reading that was cancelled may look finished; it is not.
		err = ctx.Err()
	}
	if err == nil && p.partial && reading.Full {
		err = fault.New(fault.Internal, "mirror: the source read everything and had not said so")
	}
	if err == nil {
		err = p.flush()
	}
	if failed := p.wait(); err == nil {
		err = failed
	}
	var gone []directory.Digest
	if err == nil {
		gone, err = p.gone(reading)
	}
	if err != nil {
		in.forget(ctx)
		return Result{}, err
	}
	result := Result{Reading: reading, Generation: in.Published, Changed: p.changed}
	for _, key := range gone {
		if p.rows[key].kind != directory.Inner {
			result.Gone++
		}
	}
	told := slices.DeleteFunc(p.told, func(key directory.Digest) bool { return p.rows[key].staged || p.rows[key].removed })
	if p.wrote || len(gone) > 0 || in.Former && len(told) > 0 {
		result.Generation = p.generation
	}
	result.Users, result.Groups, err = in.Store.Publish(ctx, in.Lease, Publication{Generation: result.Generation, Gone: gone, Reading: reading, Fresh: p.fresh, Told: told, Single: in.Single})
	return result, err
}

// forget throws away what a reading that broke off had staged. Where that fails
// too, nobody sees the rows, and the next reading throws them away.
func (in *Intake) forget(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	_ = in.Store.Discard(ctx, in.Lease) //nolint:errcheck // see above
}

// early is a record that came before it is known what is known: encoded, since what the
// source hands over is its own again afterwards.
type early struct {
	record   []byte
	password string
}

// mostEarly is how many of them wait; then the source does.
const mostEarly = 20_000

type pass struct {
	*Intake
	ctx        context.Context
	partial    bool                       // a reading of changes
	rows       map[directory.Digest]known // of the published picture: all, or those looked up
	loaded     bool                       // all
	loading    chan error                 // the outcome of that, nil while it is not under way
	early      []early                    // what came meanwhile
	generation int64
	hasher     directory.Hasher
	staged     []Row
	bytes      int        // of what is staged
	spare      []Row      // the rows that are being written meanwhile
	writing    chan error // the outcome of that, nil while nothing is being written
	wrote      bool
	told       []directory.Digest // by a reading of changes, and as they were
	changed    int
	fresh      Counts
	hashes     map[string]string // password fingerprint to its argon2id form, within this reading
}

// load takes in all that is known.
func (p *pass) load() error {
	p.loaded = true
	return p.Store.Known(p.ctx, p.Lease.Connection, func(key, hash directory.Digest, kind directory.Kind) {
		if _, ok := p.rows[key]; !ok {
			p.rows[key] = known{hash: hash, kind: kind, there: true}
		}
	})
}

// await ends the loading that is under way, and takes in what came meanwhile.
func (p *pass) await() error {
	if p.loading == nil {
		return nil
	}
	return p.know(<-p.loading)
}

func (p *pass) know(err error) error {
	p.loading = nil
	waiting := p.early
	p.early = nil
	var r directory.Record
	for i := range waiting {
		if err != nil {
			return err
		}
		if err = r.Decode(waiting[i].record); err == nil {
			r.Password = waiting[i].password
			err = p.take(&r)
		}
	}
	return err
}

// emit takes a record in. While what is known is being loaded it waits, so that the
// directory need not.
func (p *pass) emit(r *directory.Record) error {
	if p.loading != nil {
		select {
		case err := <-p.loading:
			if err := p.know(err); err != nil {
				return err
			}
		default:
			if len(p.early) < mostEarly && !r.Gone && !r.Present {
				p.early = append(p.early, early{r.Append(nil), r.Password})
				return nil
			}
			if err := p.await(); err != nil {
				return err
			}
		}
	}
	return p.take(r)
}

// find is what is known of a key.
func (p *pass) find(key directory.Digest) (known, error) {
	if err := p.await(); err != nil {
		return known{}, err
	}
	k, ok := p.rows[key]
	if ok || p.loaded {
		return k, nil
	}
	err := p.look(key)
	return p.rows[key], err
}

// look takes in what is known of keys that were not looked up before.
func (p *pass) look(keys ...directory.Digest) error {
	if len(p.rows)+len(keys) > fewLookups {
		return p.load()
	}
	found := make(map[directory.Digest]known, len(keys))
	err := p.Store.Find(p.ctx, p.Lease.Connection, keys, func(key, hash directory.Digest, kind directory.Kind) {
		found[key] = known{hash: hash, kind: kind, there: true}
	})
	if err != nil {
		return err
	}
	for _, key := range keys {
		p.rows[key] = found[key] // or that there is none
	}
	return nil
}

func (p *pass) soon(kind directory.Kind, ids []directory.ExternalID) error {
	if p.loaded {
		return nil
	}
	var keys []directory.Digest
	for _, id := range ids {
		key := directory.KeyOf(kind, id)
		if _, ok := p.rows[key]; !ok {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	return p.look(keys...)
}

func (p *pass) knows(kind directory.Kind, id directory.ExternalID) (bool, error) {
	k, err := p.find(directory.KeyOf(kind, id))
	return k.there && !k.removed || k.staged, err
}

// keys lists what knows would say yes to.
func (p *pass) keys(fn func(directory.Digest) error) error {
	if !p.loaded {
		if err := p.load(); err != nil {
			return err
		}
	}
	for key, k := range p.rows {
		if k.there && !k.removed || k.staged {
			if err := fn(key); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *pass) anew() error {
	p.partial = false
	return p.load()
}

// gone are the rows that are there no longer.
func (p *pass) gone(reading source.Reading) ([]directory.Digest, error) {
	var gone []directory.Digest
	if reading.Full && !reading.Complete {
		return nil, nil
	}
	whole := reading.Full || reading.Swept && reading.Complete
	if whole && !p.loaded {
		if err := p.load(); err != nil {
			return nil, err
		}
	}
	for key, k := range p.rows {
		if k.removed && (k.there || k.staged) || whole && k.there && !k.seen {
			gone = append(gone, key)
		}
	}
	return gone, nil
}

func (p *pass) take(r *directory.Record) error {
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
	k, err := p.find(key)
	if err != nil {
		return err
	}
	switch {
	case r.Gone:
		k.removed, k.seen = true, false
		p.rows[key] = k
		return nil
	case r.Present:
		// Of an entry that is not known the source gives the record as well.
		k.removed, k.seen = false, true
		p.rows[key] = k
		return nil
	case k.seen && r.ID == "":
		return nil // told of twice: the first stands, and no batch holds a key twice
	case k.seen && !p.partial:
		// Two entries under one key: which is which cannot be told. The first
		// keeps its row; the second is shown as a problem under its own name.
		twin := *r
		twin.Problem = fmt.Sprintf("has the same external ID (%s) as another entry", r.ID)
		twin.ID = ""
		return p.take(&twin)
	}
	return p.keep(key, k, r)
}

// keep stages a record where it is not what the picture holds already.
func (p *pass) keep(key directory.Digest, k known, r *directory.Record) error {
	salt := ""
	if r.Password != "" {
		var err error
		if salt, err = p.Secrets.Fingerprint("mirror password "+p.Lease.Connection, r.Password); err != nil {
			return err
		}
	}
	hash := p.hasher.Hash(r, salt)
	unchanged := (k.there || k.staged) && k.hash == hash
	again := k.staged
	if k.there || k.staged {
		p.fresh.Add(k.kind, -1)
	}
	p.fresh.Add(r.Kind, 1)
	if !unchanged && (r.Kind != directory.Inner || k.there) { // see Result
		p.changed++
	}
	k.hash, k.kind, k.seen, k.removed, k.staged = hash, r.Kind, true, false, again || !unchanged
	p.rows[key] = k
	if unchanged {
		if p.partial {
			p.told = append(p.told, key)
		}
		return nil
	}
	row := Row{Key: key, Kind: r.Kind, ExternalID: r.ID, Name: r.Name, Ref: p.ref(r.Ref), Hash: hash, Record: r.Append(make([]byte, 0, p.hasher.Size())), Generation: p.generation, Again: again}
	if r.Primary != "" {
		row.Primary = p.ref(r.Primary)
	}
	if len(r.Members) > 0 {
		row.Refs = make([]byte, 0, len(directory.Digest{})*len(r.Members))
	}
	for _, m := range r.Members {
		ref := p.ref(m)
		row.Refs = append(row.Refs, ref[:]...)
	}
	if r.Password != "" {
		if row.Secret = p.hashes[salt]; row.Secret == "" {
			secret, err := p.Secrets.HashSalted(p.ctx, r.Password, salt)
			if err != nil {
				return err
			}
			row.Secret = secret
			p.hashes[salt] = secret
		}
	}
	if again {
		if at := slices.IndexFunc(p.staged, func(r Row) bool { return r.Key == key }); at >= 0 {
			row.Again = p.staged[at].Again // not written yet
			p.staged[at] = row
			return nil
		}
	}
	p.staged = append(p.staged, row)
	p.bytes += len(row.Record) + len(row.Refs)
	if len(p.staged) >= batch || p.bytes >= batchBytes {
		return p.flush()
	}
	return nil
}

func (p *pass) ref(text string) directory.Digest { return directory.RefOf(p.Refer(text)) }

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
	p.wrote = true
	clear(p.spare)
	p.staged, p.spare, p.bytes = p.spare[:0], p.staged, 0
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
