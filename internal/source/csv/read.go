package csv

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
)

// Read reports every row. It goes through the file three times: for the
// encoding, for keys that occur twice, and for the rows; and the first and the
// last time must see the same bytes.
func (t *table) Read(ctx context.Context, req source.Request, emit func(*directory.Record) error) (source.Reading, error) {
	f, err := t.openCopy(ctx, req.From)
	if errors.Is(err, errUnmodified) {
		return source.Reading{Next: req.From, Complete: true, Method: "conditional request", Notes: []string{"the server says the file has not changed"}}, nil
	}
	if err != nil {
		return source.Reading{}, err
	}
	defer f.Close() //nolint:errcheck // only read
	p, err := t.prepare(ctx, f)
	if err != nil {
		return source.Reading{}, err
	}
	if req.Anew != nil {
		if err := req.Anew(); err != nil {
			return source.Reading{}, err
		}
	}
	reading, err := p.emitAll(ctx, req.Progress, emit)
	if err != nil {
		return source.Reading{}, err
	}
	if reading.Complete && t.url != nil {
		reading.Next = f.state.cursor()
	}
	return reading, nil
}

func (t *table) openCopy(ctx context.Context, from source.Cursor) (*copyOf, error) {
	switch {
	case t.upload != nil:
		return t.openUpload(ctx)
	case t.url != nil:
		return t.fetch(ctx, from)
	}
	return t.openLocal()
}

// pass is one reading of one file.
type pass struct {
	table    *table
	file     *copyOf
	layout   *layout
	columns  *columns
	sum      uint64           // of the bytes as first seen
	twice    map[string][]int // folded keys that occur more than once, with their rows
	managers managers
	seed     maphash.Seed
}

// prepare looks through the file: what it is, and which keys occur twice.
func (t *table) prepare(ctx context.Context, f *copyOf) (*pass, error) {
	p := &pass{table: t, file: f, seed: maphash.MakeSeed()}
	head, utf8Text, err := p.scan(ctx)
	if err != nil {
		return nil, err
	}
	if p.layout, err = t.inspect(head, utf8Text); err != nil {
		return nil, err
	}
	if p.layout.encoding == "utf-16" && f.info.Size()%2 != 0 {
		return nil, fault.New(fault.Invalid, "csv: read %s: it ends in the middle of a character", t.where()).
			WithHint("the file was cut off")
	}
	if p.columns, err = t.resolve(p.layout.header); err != nil {
		return nil, err
	}
	return p, p.findTwice(ctx)
}

// scan goes through the raw bytes once.
func (p *pass) scan(ctx context.Context) (head []byte, utf8Text bool, err error) {
	var sum maphash.Hash
	sum.SetSeed(p.seed)
	buf := make([]byte, headSize)
	var found census
	kept := 0 // bytes of a character that was cut at the end of the buffer
	for {
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		n, err := io.ReadFull(p.file, buf[kept:])
		sum.Write(buf[kept : kept+n])
		all := buf[:kept+n]
		if head == nil {
			head = bytes.Clone(all)
		}
		last := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !last {
			return nil, false, fault.New(fault.Unavailable, "csv: %w", err)
		}
		end := len(all)
		if !last {
			end = cutAt(all)
		}
		found.count(all[:end])
		kept = copy(buf, all[end:])
		if last {
			p.sum = sum.Sum64()
			return head, found.text(), nil
		}
	}
}

// cutAt is where the last character begins that does not end in b.
func cutAt(b []byte) int {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if at := len(b) - i; utf8.RuneStart(b[at]) {
			if !utf8.FullRune(b[at:]) {
				return at
			}
			break
		}
	}
	return len(b)
}

// rows starts at the beginning of the file again. Its bytes go through sum.
func (p *pass) rows(sum *maphash.Hash) (*rows, error) {
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return nil, fault.New(fault.Unavailable, "csv: %w", err)
	}
	var raw io.Reader = bufio.NewReaderSize(p.file, 64<<10)
	if sum != nil {
		raw = io.TeeReader(raw, sum)
	}
	rs, err := p.layout.rows(raw)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "csv: read %s again: %w", p.table.where(), err)
	}
	return rs, nil
}

// findTwice notes the rows of every key that occurs more than once.
func (p *pass) findTwice(ctx context.Context) error {
	rs, err := p.rows(nil)
	if err != nil {
		return err
	}
	first := map[directory.Digest]int32{}
	p.twice = map[string][]int{}
	p.managers = p.columns.managers()
	for n := 0; ; n++ {
		row, err := p.next(rs)
		if errors.Is(err, io.EOF) {
			p.managers.settle(first)
			return nil
		}
		if err != nil {
			return p.sooner(err)
		}
		p.managers.add(&row)
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		key, sure := p.key(&row)
		if key == "" || !sure {
			continue
		}
		folded := account.Fold(key)
		digest := directory.RefOf(folded)
		switch line, seen := first[digest]; {
		case !seen:
			first[digest] = int32(row.line)
		case len(p.twice[folded]) == 0:
			p.twice[folded] = []int{int(line), row.line}
		default:
			p.twice[folded] = append(p.twice[folded], row.line)
		}
	}
}

// next gives the next row in which something stands, with its columns counted.
func (p *pass) next(rs *rows) (row, error) {
	width := len(p.layout.header)
	for {
		r, err := rs.next()
		if err != nil {
			return r, err
		}
		// A file that was put together of several has the mark of each before its first
		// row. Nobody sees it, and it would make another person of the first one's key.
		if len(r.fields) > 0 {
			r.fields[0] = strings.TrimPrefix(r.fields[0], "\ufeff")
		}
		if r.cut = p.cut(&r); r.cut {
			return r, nil
		}
		if r.torn {
			p.doubt(&r)
			return r, nil
		}
		if blank(r.fields) {
			continue
		}
		if r.columns > width && blank(r.fields[width:]) {
			r.fields, r.columns = r.fields[:width], width // spreadsheets leave separators behind
		}
		if r.columns != width {
			r.bad = fmt.Sprintf("%d columns, the header has %d", r.columns, width)
		}
		p.doubt(&r)
		return r, nil
	}
}

func blank(fields []string) bool {
	return !slices.ContainsFunc(fields, func(f string) bool { return strings.TrimSpace(f) != "" })
}

// sooner prefers the reason that the file changed to what that looks like.
func (p *pass) sooner(err error) error {
	if changed := p.file.changed(); changed != nil {
		return changed
	}
	return err
}

// key is a row's key, and whether it is surely the key of that row and the row
// the only one in it: a separator or quote too many moves what stands behind it.
func (p *pass) key(r *row) (key string, sure bool) {
	if r.cut || p.columns.key >= len(r.fields) {
		return "", false
	}
	key = strings.TrimSpace(r.fields[p.columns.key])
	return key, key != "" && (r.bad == "" || p.columns.key == 0 && !r.many)
}

// emitAll reports the rows.
func (p *pass) emitAll(ctx context.Context, progress func(users, groups int), emit func(*directory.Record) error) (source.Reading, error) {
	reading := source.Reading{Full: true, Complete: true}
	var sum maphash.Hash
	sum.SetSeed(p.seed)
	rs, err := p.rows(&sum)
	if err != nil {
		return reading, err
	}
	b := newBuilder(p)
	halves := 0
	for {
		row, err := p.next(rs)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return reading, p.sooner(err)
		}
		if row.cut {
			reading.Complete, reading.Reason = false, ending(&row)
			continue
		}
		if p.half(&row) {
			halves++
		}
		record, uncertain := b.build(&row)
		if uncertain && reading.Complete {
			reading.Complete = false
			reading.Reason = record.Problem + "; it is not certain who is meant, so nobody counts as gone"
		}
		if err := emit(record); err != nil {
			return reading, err
		}
		if reading.Users++; reading.Users%1000 == 0 {
			if err := ctx.Err(); err != nil {
				return reading, err
			}
			if progress != nil {
				progress(reading.Users, 0)
			}
		}
	}
	if halves > 0 && halves == reading.Users && reading.Complete {
		reading.Complete = false
		reading.Reason = fmt.Sprintf("the header has %d columns and every row %d: the first person may stand in the header's line, so nobody counts as gone; put a line end behind the header",
			len(p.layout.header), (len(p.layout.header)+1)/2)
	}
	if progress != nil {
		progress(reading.Users, 0)
	}
	if err := p.file.changed(); err != nil {
		return reading, err
	}
	if sum.Sum64() != p.sum {
		return reading, errChanged
	}
	if p.columns.password < 0 && p.table.settings.String("passwords") != "none" && p.table.settings.String("default_password") == "" {
		reading.Notes = append(reading.Notes, "the file has no column "+p.table.settings.String("password_column")+" and there is no default_password")
	}
	if p.managers.both != "" {
		reading.Notes = append(reading.Notes, p.managers.both+" is named as a manager by key and by username, and found by the key alone: write one of them throughout")
	}
	return reading, nil
}

// builder makes records of rows, reusing one record.
type builder struct {
	*pass
	record directory.Record
	values []string        // backs the attributes' values
	names  []int           // the columns that become attributes
	fixed  string          // the default password
	needed bool            // whether a row needs a password
	told   map[string]bool // keys of several rows whose ID is reported
}

func newBuilder(p *pass) *builder {
	b := &builder{pass: p, values: make([]string, len(p.layout.header)), told: map[string]bool{}}
	b.needed = p.table.settings.String("passwords") != "none"
	if b.needed {
		b.fixed = p.table.settings.String("default_password")
	}
	for i, name := range p.layout.header {
		if name != "" && i != p.columns.password {
			b.names = append(b.names, i)
		}
	}
	return b
}

// build makes the record of a row. uncertain means that a person may be hidden in the row whom nobody can name.
func (b *builder) build(r *row) (record *directory.Record, uncertain bool) {
	key, sure := b.key(r)
	b.record = directory.Record{Kind: directory.User, Attributes: b.record.Attributes[:0]}
	if r.bad != "" && !sure {
		return b.problem(r, "", r.bad), true
	}
	if bad := badKey(key); bad != "" {
		return b.problem(r, "", bad), true
	}
	switch {
	case r.bad != "":
		b.known(r, key)
		return b.problem(r, key, r.bad), false
	case key == "":
		return b.problem(r, "", "nothing in the key column "+b.layout.header[b.columns.key]), true
	}
	b.known(r, key)
	if lines := b.twice[account.Fold(key)]; len(lines) > 1 {
		return b.problem(r, key, "the same key stands in rows "+join(lines)), false
	}
	for _, i := range b.names {
		if strings.IndexByte(r.fields[i], 0) >= 0 {
			b.record.Attributes = b.record.Attributes[:0]
			return b.problem(r, key, "a NUL byte in column "+b.layout.header[i]), false
		}
		if r.fields[i] == "" {
			continue
		}
		b.values[i] = r.fields[i]
		b.record.Attributes = append(b.record.Attributes, directory.Attribute{Name: b.layout.header[i], Values: b.values[i : i+1 : i+1]})
	}
	if b.needed {
		if why := b.password(r); why != "" {
			return b.problem(r, key, why), false
		}
	}
	return &b.record, false
}

// known fills in who the row is about. Of rows with one key in one spelling only
// the first carries the ID: an ID is reported once.
func (b *builder) known(r *row, key string) {
	b.record.ID, b.record.Name, b.record.Ref = directory.ExternalID(key), key, key
	if len(b.twice[account.Fold(key)]) > 1 {
		if b.told[key] {
			b.record.ID = ""
			b.record.Ref = fmt.Sprintf("%s (row %d)", key, r.line)
		}
		b.told[key] = true
		return
	}
	b.record.Ref = b.managers.ref(r, key)
}

// password sets the row's password, or says why there is none.
func (b *builder) password(r *row) (why string) {
	given := ""
	if b.columns.password >= 0 {
		given = r.fields[b.columns.password]
	}
	switch {
	case strings.IndexByte(given, 0) >= 0:
		return "a NUL byte in the password"
	case given == "" && b.fixed == "":
		return "no password and no default_password"
	case given == "":
		given = b.fixed
	}
	b.record.Password = given
	return ""
}

// problem marks the record. key is "" where it is not certain.
func (b *builder) problem(r *row, key, why string) *directory.Record {
	if key == "" {
		b.record.Name = fmt.Sprintf("row %d", r.line)
		b.record.Ref = b.record.Name
		b.record.Problem = fmt.Sprintf("row %d: %s", r.line, why)
		return &b.record
	}
	b.record.Problem = fmt.Sprintf("row %d (%s): %s", r.line, key, why)
	return &b.record
}

// badKey says why a key cannot be one, or "".
func badKey(key string) string {
	switch {
	case !utf8.ValidString(key):
		return "the key is not valid in this encoding"
	case strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "a control character in the key"
	case len(key) > 512:
		return "the key is longer than 512 bytes"
	}
	return ""
}

func join(lines []int) string {
	shown := make([]string, 0, 10)
	for _, n := range lines[:min(len(lines), 10)] {
		shown = append(shown, fmt.Sprint(n))
	}
	if more := len(lines) - len(shown); more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(shown, ", "), more)
	}
	return strings.Join(shown, ", ")
}
