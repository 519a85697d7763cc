package plan

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"io"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
)

// A plan is stored in chunks of changes, each a compressed run of JSON lines.
// A chunk is also what apply writes in one transaction.

// ChunkRows is how many rows a chunk holds at the most, give or take one group.
const ChunkRows = 4000

var chunkRows int64 = ChunkRows

// ShortChunks makes chunks hold fewer rows: for tests of what happens between
// two of them, before they begin.
func ShortChunks(rows int64) { chunkRows = rows }

// stored is one change as a chunk keeps it: short names, and values in the
// order of their bits in Fields.
type stored struct {
	Seq        int64                `json:"s"`
	Action     Action               `json:"a"`
	Target     Target               `json:"t"`
	Account    *account.ID          `json:"i,omitempty"`
	Group      *account.ID          `json:"g,omitempty"`
	Key        []byte               `json:"k,omitempty"`
	ExternalID directory.ExternalID `json:"x,omitempty"`
	Name       string               `json:"n,omitempty"`
	Version    int64                `json:"v,omitempty"`
	Fields     Fields               `json:"f,omitempty"`
	Before     []string             `json:"b,omitempty"`
	After      []string             `json:"c,omitempty"`
	GroupName  []string             `json:"gn,omitempty"`
	Members    []byte               `json:"m,omitempty"` // 16 bytes each
	Secret     bool                 `json:"p,omitempty"`
	Org        string               `json:"o,omitempty"`
	Why        string               `json:"w,omitempty"`
}

// AppendChange encodes a change as one line behind b.
func AppendChange(b []byte, c *Change) ([]byte, error) {
	s := stored{Seq: c.Seq, Action: c.Action, Target: c.Target, ExternalID: c.ExternalID, Name: c.Name, Version: c.Version,
		Fields: c.Fields, Secret: c.Secret, Why: c.Why}
	if !c.Account.IsZero() {
		s.Account = &c.Account
	}
	if !c.Group.IsZero() {
		s.Group = &c.Group
	}
	if c.Key != (directory.Digest{}) {
		s.Key = c.Key[:]
	}
	if c.Action == Create && c.Target == Account {
		s.Fields = everything(c.After)
		s.Org = c.After.Organization
	}
	if c.Before != nil {
		s.Before = s.Fields.values(c.Before)
	}
	if c.After != nil {
		s.After = s.Fields.values(c.After)
	}
	if c.GroupName != [2]string{} {
		s.GroupName = c.GroupName[:]
	}
	for _, m := range c.Members {
		s.Members = append(s.Members, m[:]...)
	}
	line, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return append(append(b, line...), '\n'), nil
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

func (f Fields) values(a *account.Account) []string {
	var out []string
	for i := range a.Text {
		if f.Has(Text(account.Field(i))) {
			out = append(out, a.Text[i])
		}
	}
	if f.Has(FieldManager) {
		out = append(out, a.Manager.String())
	}
	if f.Has(FieldStatus) {
		out = append(out, string(a.Status), string(a.Cause))
	}
	if f.Has(FieldAttributes) {
		out = append(out, a.Attributes)
	}
	if f.Has(FieldLink) {
		out = append(out, a.Connection, a.ExternalID)
	}
	return out
}

var errChunk = fault.New(fault.Conflict, "plan: a stored chunk is damaged; make the plan again").
	WithHint("if this comes back, the database was altered from outside or a disk failed")

func (f Fields) account(values []string) (*account.Account, error) {
	a := &account.Account{}
	bad := false
	next := func() string {
		if len(values) == 0 {
			bad = true
			return ""
		}
		v := values[0]
		values = values[1:]
		return v
	}
	for i := range a.Text {
		if f.Has(Text(account.Field(i))) {
			a.Text[i] = next()
		}
	}
	if f.Has(FieldManager) {
		if err := a.Manager.UnmarshalText([]byte(next())); err != nil {
			return nil, errChunk
		}
	}
	if f.Has(FieldStatus) {
		a.Status, a.Cause = account.Status(next()), account.Cause(next())
	}
	if f.Has(FieldAttributes) {
		a.Attributes = next()
	}
	if f.Has(FieldLink) {
		a.Connection, a.ExternalID = next(), next()
	}
	if bad {
		return nil, errChunk
	}
	return a, nil
}

func (s *stored) change() (Change, error) {
	c := Change{Seq: s.Seq, Action: s.Action, Target: s.Target, ExternalID: s.ExternalID, Name: s.Name, Version: s.Version,
		Fields: s.Fields, Secret: s.Secret, Why: s.Why}
	if s.Account != nil {
		c.Account = *s.Account
	}
	if s.Group != nil {
		c.Group = *s.Group
	}
	if len(s.Key) == len(c.Key) {
		copy(c.Key[:], s.Key)
	}
	var err error
	if s.Target == Account {
		if s.Action != Create {
			if c.Before, err = s.Fields.account(s.Before); err != nil {
				return c, err
			}
		}
		if c.After, err = s.Fields.account(s.After); err != nil {
			return c, err
		}
		if s.Action == Create {
			c.After.ID, c.After.Organization = c.Account, s.Org
		}
	}
	if len(s.GroupName) == 2 {
		c.GroupName = [2]string(s.GroupName)
	}
	if len(s.Members)%16 != 0 {
		return c, errChunk
	}
	for m := s.Members; len(m) > 0; m = m[16:] {
		c.Members = append(c.Members, account.ID(m[:16]))
	}
	return c, nil
}

// Writer turns a stream of changes or notes into chunks.
type Writer struct {
	// Flush keeps a chunk: its number, the sequence number of its first row, and
	// its compressed body.
	Flush   func(seq int, first int64, body []byte) error
	sum     hash.Hash
	buf     []byte
	spare   []byte     // what is being compressed and kept meanwhile
	writing chan error // the outcome of that, nil while nothing is
	rows    int64
	first   int64
	next    int64
	count   int
}

// NewWriter starts a stream whose hash begins with a basis.
func NewWriter(basis []byte, flush func(seq int, first int64, body []byte) error) *Writer {
	w := &Writer{Flush: flush, sum: sha256.New(), next: 1, first: 1}
	w.sum.Write(basis)
	return w
}

// Write numbers a change and adds it.
func (w *Writer) Write(c *Change) error {
	c.Seq = w.next
	b, err := AppendChange(w.buf, c)
	if err != nil {
		return err
	}
	w.buf = b
	w.next += c.Rows()
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
func NewNotes(flush func(seq int, first int64, body []byte) error, notes []Note) error {
	var text []byte
	for i := range notes {
		line, err := json.Marshal(&notes[i])
		if err != nil {
			return err
		}
		text = append(append(text, line...), '\n')
	}
	body, err := compress(text)
	if err != nil {
		return err
	}
	return flush(0, 0, body)
}

func (w *Writer) added(rows int64) error {
	if w.rows += rows; w.rows >= chunkRows {
		return w.flush()
	}
	return nil
}

// flush hashes, compresses and keeps what is buffered, beside the planning of
// what follows: one chunk at a time.
func (w *Writer) flush() error {
	if err := w.wait(); err != nil || w.rows == 0 {
		return err
	}
	w.buf, w.spare = w.spare[:0], w.buf
	w.writing = make(chan error, 1)
	go func(text []byte, count int, first int64, done chan<- error) {
		w.sum.Write(text)
		body, err := compress(text)
		if err == nil {
			err = w.Flush(count, first, body)
		}
		done <- err
	}(w.spare, w.count, w.first, w.writing)
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

func compress(b []byte) ([]byte, error) {
	var out bytes.Buffer
	z, err := flate.NewWriter(&out, flate.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(b); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Lines gives the uncompressed lines of a chunk.
func Lines(body []byte) ([]byte, error) {
	b, err := io.ReadAll(flate.NewReader(bytes.NewReader(body)))
	if err != nil {
		return nil, errChunk
	}
	return b, nil
}

// Changes decodes a chunk of changes.
func Changes(body []byte) ([]Change, error) {
	text, err := Lines(body)
	if err != nil {
		return nil, err
	}
	var out []Change
	scan := bufio.NewScanner(bytes.NewReader(text))
	scan.Buffer(nil, len(text)+1)
	for scan.Scan() {
		var s stored
		if err := json.Unmarshal(scan.Bytes(), &s); err != nil {
			return nil, errChunk
		}
		c, err := s.change()
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, scan.Err()
}

// Notes decodes a chunk of notes.
func Notes(body []byte) ([]Note, error) {
	text, err := Lines(body)
	if err != nil {
		return nil, err
	}
	var out []Note
	scan := bufio.NewScanner(bytes.NewReader(text))
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
func (v *Verify) Add(body []byte) error {
	text, err := Lines(body)
	if err != nil {
		return err
	}
	v.sum.Write(text)
	return nil
}

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
