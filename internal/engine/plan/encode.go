package plan

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash"
	"maps"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
)

// A plan is stored in chunks, each a compressed run of changes (see AppendChange)
// or of notes (lines of JSON). A chunk is also what apply writes in one
// transaction.

// ChunkRows is how many rows a chunk holds at the most, give or take one group.
// Memberships, which are small, count for an eighth: fewer and larger
// transactions write fewer pages twice.
const ChunkRows = 8000

var chunkRows int64 = ChunkRows

// chunkBytes is how much text a chunk holds at the most, give or take one change:
// attributes may be as long as a directory has them.
const chunkBytes = 8 << 20

// ShortChunks makes chunks hold fewer rows: for tests of what happens between
// two of them, before they begin.
func ShortChunks(rows int64) { chunkRows = rows }

// AppendChange encodes a change behind b. Counts and lengths are unsigned
// varints, texts and lists carry theirs in front; values come in the order of
// their bits in Fields:
//
//	length of the rest
//	seq, version, fields, flags
//	action, target, external ID, name, why, organization
//	account, group, key (16 bytes each, where the flags say so)
//	values before, values after, group names, members
func AppendChange(b []byte, c *Change) []byte {
	fields, organization := c.Fields, ""
	if c.Action == Create && c.Target == Account {
		fields, organization = everything(c.After), c.After.Organization
	}
	flags := uint64(0)
	for bit, set := range []bool{c.Secret, !c.Account.IsZero(), !c.Group.IsZero(), c.Key != (directory.Digest{}),
		c.Before != nil, c.After != nil, c.GroupName != [2]string{}} {
		if set {
			flags |= 1 << bit
		}
	}
	start := len(b)
	b = binary.AppendUvarint(b, uint64(c.Seq))
	b = binary.AppendUvarint(b, uint64(c.Version))
	b = binary.AppendUvarint(b, uint64(fields))
	b = binary.AppendUvarint(b, flags)
	for _, text := range []string{string(c.Action), string(c.Target), string(c.ExternalID), c.Name, c.Why, organization} {
		b = appendText(b, text)
	}
	for bit, id := range [][16]byte{c.Account, c.Group, c.Key} {
		if flags&(flagAccount<<bit) != 0 {
			b = append(b, id[:]...)
		}
	}
	if c.Before != nil {
		b = fields.appendValues(b, c.Before)
	}
	if c.After != nil {
		b = fields.appendValues(b, c.After)
	}
	if flags&flagGroupName != 0 {
		b = appendText(appendText(b, c.GroupName[0]), c.GroupName[1])
	}
	b = binary.AppendUvarint(b, uint64(len(c.Members)))
	for i := range c.Members {
		b = append(b, c.Members[i][:]...)
	}
	var length [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(length[:], uint64(len(b)-start))
	return slices.Insert(b, start, length[:n]...)
}

const (
	flagSecret = 1 << iota
	flagAccount
	flagGroup
	flagKey
	flagBefore
	flagAfter
	flagGroupName
)

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func everything(a *account.Account) Fields {
	f := FieldStatus | FieldLink
	for i := range a.Text {
		if a.Text[i] != "" {
			f |= Text(account.Field(i))
		}
	}
	if !a.Manager.IsZero() {
		f |= FieldManager
	}
	if a.Attributes != "" {
		f |= FieldAttributes
	}
	return f
}

func (f Fields) appendValues(b []byte, a *account.Account) []byte {
	for i := range a.Text {
		if f.Has(Text(account.Field(i))) {
			b = appendText(b, a.Text[i])
		}
	}
	if f.Has(FieldManager) {
		b = append(b, a.Manager[:]...)
	}
	if f.Has(FieldStatus) {
		b = appendText(appendText(b, string(a.Status)), string(a.Cause))
	}
	if f.Has(FieldAttributes) {
		b = appendText(b, a.Attributes)
	}
	if f.Has(FieldLink) {
		b = appendText(appendText(b, a.Connection), a.ExternalID)
	}
	return b
}

var errChunk = fault.New(fault.Conflict, "plan: a stored chunk is damaged; make the plan again").
	WithHint("if this comes back, the database was altered from outside or a disk failed")

// changeReader takes encoded changes apart. Every text of a chunk shares the
// memory of the chunk.
type changeReader struct {
	text string
	bad  bool
}

func (r *changeReader) uvarint() uint64 {
	var v uint64
	for shift := 0; shift < 64 && len(r.text) > 0; shift += 7 {
		c := r.text[0]
		r.text = r.text[1:]
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
	r.bad = true
	return 0
}

func (r *changeReader) bytes(n uint64) string {
	if n > uint64(len(r.text)) {
		r.bad = true
		return ""
	}
	s := r.text[:n]
	r.text = r.text[n:]
	return s
}

func (r *changeReader) string() string { return r.bytes(r.uvarint()) }

func (r *changeReader) id() (id [16]byte) {
	copy(id[:], r.bytes(16))
	return id
}

func (r *changeReader) change() Change {
	c := Change{Seq: int64(r.uvarint()), Version: int64(r.uvarint()), Fields: Fields(r.uvarint())}
	flags := r.uvarint()
	c.Secret = flags&flagSecret != 0
	c.Action, c.Target, c.ExternalID, c.Name, c.Why = Action(r.string()), Target(r.string()), directory.ExternalID(r.string()), r.string(), r.string()
	organization := r.string()
	if flags&flagAccount != 0 {
		c.Account = r.id()
	}
	if flags&flagGroup != 0 {
		c.Group = r.id()
	}
	if flags&flagKey != 0 {
		c.Key = r.id()
	}
	if flags&flagBefore != 0 {
		c.Before = r.account(c.Fields)
	}
	if flags&flagAfter != 0 {
		c.After = r.account(c.Fields)
	}
	if c.Action == Create && c.After != nil {
		c.After.ID, c.After.Organization = c.Account, organization
	}
	if flags&flagGroupName != 0 {
		c.GroupName = [2]string{r.string(), r.string()}
	}
	members := r.uvarint()
	if members > uint64(len(r.text)/16) {
		r.bad = true
		return c
	}
	if members > 0 {
		c.Members = make([]account.ID, members)
	}
	for i := range c.Members {
		c.Members[i] = r.id()
	}
	r.bad = r.bad || c.Target == Account && (c.After == nil || c.Before == nil && c.Action != Create)
	return c
}

func (r *changeReader) account(f Fields) *account.Account {
	a := &account.Account{}
	for i := range a.Text {
		if f.Has(Text(account.Field(i))) {
			a.Text[i] = r.string()
		}
	}
	if f.Has(FieldManager) {
		a.Manager = r.id()
	}
	if f.Has(FieldStatus) {
		a.Status, a.Cause = account.Status(r.string()), account.Cause(r.string())
	}
	if f.Has(FieldAttributes) {
		a.Attributes = r.string()
	}
	if f.Has(FieldLink) {
		a.Connection, a.ExternalID = r.string(), r.string()
	}
	return a
}

// Chunk is a part of a plan as it is kept.
type Chunk struct {
	Seq   int    // its number, from 0
	First int64  // the sequence number of its first row
	Kinds string // of changes, what kinds of them it holds: see Narrow.MayHold
	Body  []byte // compressed
}

// Writer turns a stream of changes or notes into chunks.
type Writer struct {
	Flush   func(Chunk) error
	sum     hash.Hash
	buf     []byte
	spare   []byte     // what is being compressed and kept meanwhile
	writing chan error // the outcome of that, nil while nothing is
	rows    int64
	first   int64
	next    int64
	count   int
	kinds   map[string]bool // of the changes that are buffered
}

// NewWriter starts a stream whose hash begins with a basis.
func NewWriter(basis []byte, flush func(Chunk) error) *Writer {
	w := &Writer{Flush: flush, sum: sha256.New(), next: 1, first: 1, kinds: map[string]bool{}}
	w.sum.Write(basis)
	return w
}

// Write numbers a change and adds it.
func (w *Writer) Write(c *Change) error {
	c.Seq = w.next
	w.buf = AppendChange(w.buf, c)
	w.kinds[kindOf(c.Action, c.Target)] = true
	w.next += c.Rows()
	if c.Target == Membership {
		return w.added(max(1, c.Rows()/8))
	}
	return w.added(c.Rows())
}

// WriteNote adds a note.
func (w *Writer) WriteNote(n *Note) error {
	line, err := json.Marshal(n)
	if err != nil {
		return err
	}
	w.buf = append(append(w.buf, line...), '\n')
	return w.added(1)
}

// NewNotes writes notes as one chunk.
func NewNotes(flush func(Chunk) error, notes []Note) error {
	var text []byte
	for i := range notes {
		line, err := json.Marshal(&notes[i])
		if err != nil {
			return err
		}
		text = append(append(text, line...), '\n')
	}
	return flush(Chunk{Body: compress(text)})
}

func (w *Writer) added(rows int64) error {
	if w.rows += rows; w.rows >= chunkRows || len(w.buf) >= chunkBytes {
		return w.flush()
	}
	return nil
}

// flush compresses, hashes and keeps what is buffered, beside the planning of
// what follows: one chunk at a time.
func (w *Writer) flush() error {
	if err := w.wait(); err != nil || w.rows == 0 {
		return err
	}
	w.buf, w.spare = w.spare[:0], w.buf
	w.writing = make(chan error, 1)
	go func(text []byte, c Chunk, done chan<- error) {
		c.Body = compress(text)
		w.sum.Write(c.Body)
		done <- w.Flush(c)
	}(w.spare, Chunk{Seq: w.count, First: w.first, Kinds: strings.Join(slices.Sorted(maps.Keys(w.kinds)), ",")}, w.writing)
	clear(w.kinds)
	w.count++
	w.rows, w.first = 0, w.next
	return nil
}

// wait ends the keeping that is under way.
func (w *Writer) wait() error {
	if w.writing == nil {
		return nil
	}
	err := <-w.writing
	w.writing = nil
	return err
}

// Close ends the stream and gives its number of chunks and its hash.
func (w *Writer) Close() (chunks int, hash string, err error) {
	if err := w.Flushed(func() error { return nil }); err != nil {
		return 0, "", err
	}
	return w.count, hex.EncodeToString(w.sum.Sum(nil)), nil
}

// Changes decodes a chunk of changes.
func Changes(body []byte) (out []Change, err error) {
	err = EachChange(body, Narrow{}, func(c *Change) error {
		out = append(out, *c)
		return nil
	})
	return out, err
}

// EachChange goes through those changes of a chunk that somebody wants to see, and
// ends with fn's first error. The change is fn's for the time of the call.
func EachChange(body []byte, only Narrow, fn func(*Change) error) error {
	only.Word = account.Fold(only.Word)
	text, err := uncompress(body)
	if err != nil {
		return err
	}
	r := changeReader{text: text}
	for len(r.text) > 0 {
		one := changeReader{text: r.string()}
		if !only.mayHold(one) {
			if r.bad {
				return errChunk
			}
			continue
		}
		c := one.change()
		if r.bad || one.bad || one.text != "" {
			return errChunk
		}
		if !only.holds(&c) {
			continue
		}
		if err := fn(&c); err != nil {
			return err
		}
	}
	return nil
}

// Notes decodes a chunk of notes.
func Notes(body []byte) ([]Note, error) {
	text, err := uncompress(body)
	if err != nil {
		return nil, err
	}
	var out []Note
	scan := bufio.NewScanner(strings.NewReader(text))
	scan.Buffer(nil, len(text)+1)
	for scan.Scan() {
		var n Note
		if err := json.Unmarshal(scan.Bytes(), &n); err != nil {
			return nil, errChunk
		}
		out = append(out, n)
	}
	return out, scan.Err()
}

// Verify recomputes a stream's hash from its stored chunks.
type Verify struct{ sum hash.Hash }

// NewVerify starts from the basis the plan was hashed with.
func NewVerify(basis []byte) *Verify {
	v := &Verify{sum: sha256.New()}
	v.sum.Write(basis)
	return v
}

// Add takes the next chunk.
func (v *Verify) Add(body []byte) { v.sum.Write(body) }

// Hash is the hash of what was added.
func (v *Verify) Hash() string { return hex.EncodeToString(v.sum.Sum(nil)) }

// Stop waits for what is being kept; for whoever gives the stream up half way.
func (w *Writer) Stop() {
	_ = w.wait() // the stream is given up, its error tells nothing new
}

// Flushed writes out what is buffered, so that fn can read the stream so far.
func (w *Writer) Flushed(fn func() error) error {
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.wait(); err != nil {
		return err
	}
	return fn()
}

// Count is how many chunks were written out.
func (w *Writer) Count() int { return w.count }
