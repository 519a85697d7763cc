package csv

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/fault"
)

const (
	headSize = 64 << 10 // bytes in which the header must end
	rowSize  = 1 << 20  // bytes of the largest row: a stray quote must not eat the file
)

// layout is how a file is to be read.
type layout struct {
	encoding  string // utf-8, utf-16 or windows-1252
	separator rune
	header    []string // trimmed
	big       bool     // UTF-16 with the high byte first
	mark      int      // bytes of the byte order mark
	oldMac    bool     // lines end with a carriage return alone
	skip      int      // lines before the header: Excel's "sep=;"
}

// detect finds the encoding from the first bytes, and utf8Text, which says
// whether the whole of what is known is UTF-8.
func (l *layout) detect(head []byte, wanted string, utf8Text bool) {
	switch {
	case bytes.HasPrefix(head, []byte{0xef, 0xbb, 0xbf}) && (wanted == "auto" || wanted == "utf-8"):
		l.encoding, l.mark = "utf-8", 3
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}) && (wanted == "auto" || wanted == "utf-16"):
		l.encoding, l.mark = "utf-16", 2
	case bytes.HasPrefix(head, []byte{0xfe, 0xff}) && (wanted == "auto" || wanted == "utf-16"):
		l.encoding, l.mark, l.big = "utf-16", 2, true
	case wanted == "utf-16":
		l.encoding, l.big = "utf-16", len(head) > 1 && head[0] == 0
	case wanted != "auto":
		l.encoding = wanted
	case utf8Text:
		l.encoding = "utf-8"
	default:
		l.encoding = "windows-1252"
	}
}

// text reads raw bytes as UTF-8 text.
func (l *layout) text(raw io.Reader) io.Reader {
	if l.mark > 0 {
		if _, err := io.CopyN(io.Discard, raw, int64(l.mark)); err != nil {
			return &broken{err}
		}
	}
	switch l.encoding {
	case "utf-16":
		order := unicode.LittleEndian
		if l.big {
			order = unicode.BigEndian
		}
		raw = transform.NewReader(raw, unicode.UTF16(order, unicode.IgnoreBOM).NewDecoder())
	case "windows-1252":
		raw = transform.NewReader(raw, charmap.Windows1252.NewDecoder())
	}
	if l.oldMac {
		raw = &newlines{raw}
	}
	return &unmarked{bufio.NewReader(raw)}
}

// unmarked leaves out the Ctrl-Z, or the few of them, with which programs of DOS
// mark the end of a file.
type unmarked struct{ from *bufio.Reader }

func (u *unmarked) Read(p []byte) (int, error) {
	n, err := u.from.Read(p)
	end := len(bytes.TrimRight(p[:n], ctrlZ))
	if end == n {
		return n, err
	}
	rest, err := u.from.Peek(u.from.Size())
	if err != io.EOF || len(bytes.TrimRight(rest, ctrlZ)) > 0 {
		return n, nil // more stands behind; an error comes again with the next reading
	}
	if _, err := u.from.Discard(len(rest)); err != nil {
		return end, err
	}
	return end, io.EOF
}

const ctrlZ = "\x1a"

type broken struct{ err error }

func (b *broken) Read([]byte) (int, error) { return 0, b.err }

// newlines turns carriage returns into line feeds.
type newlines struct{ from io.Reader }

func (n *newlines) Read(p []byte) (int, error) {
	got, err := n.from.Read(p)
	for i, c := range p[:got] {
		if c == '\r' {
			p[i] = '\n'
		}
	}
	return got, err
}

// inspectHead finds the layout of a file of which only the beginning is known.
func (t *table) inspectHead(head []byte) (*layout, error) {
	var found census
	if len(head) < headSize {
		found.count(head)
	} else {
		found.count(head[:cutAt(head)])
	}
	return t.inspect(head, found.text())
}

// census counts what tells UTF-8 from encodings of one byte.
type census struct{ characters, wrong int } // of several bytes; bytes that belong to none

func (c *census) count(b []byte) {
	for len(b) > 0 {
		if b[0] < utf8.RuneSelf {
			b = b[1:]
			continue
		}
		_, size := utf8.DecodeRune(b)
		if size == 1 {
			c.wrong++
		} else {
			c.characters++
		}
		b = b[size:]
	}
}

// text reports UTF-8. Characters of several bytes hardly ever come about by
// chance: where they are no fewer than the wrong bytes, these are mistakes in
// UTF-8, and to read all as Windows-1252 would spoil every name that is right.
func (c *census) text() bool { return c.wrong == 0 || c.characters >= c.wrong }

// foreign names what is no text at all by the bytes it begins with.
func (t *table) foreign(head []byte) error {
	for _, f := range []struct{ magic, what, hint string }{
		{"PK\x03\x04", "an Excel workbook or a ZIP archive", "save the workbook as CSV, or unpack the archive"},
		{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook", "save it as CSV"},
		{"\x1f\x8b\x08", "a compressed file (gzip)", "unpack it"},
	} {
		if bytes.HasPrefix(head, []byte(f.magic)) {
			return fault.New(fault.Invalid, "csv: %s is %s, not a CSV file", t.where(), f.what).WithHint("%s", f.hint)
		}
	}
	return nil
}

// inspect finds the layout from the beginning of a file. utf8Text says whether
// the file is UTF-8.
func (t *table) inspect(head []byte, utf8Text bool) (*layout, error) {
	if err := t.foreign(head); err != nil {
		return nil, err
	}
	l := &layout{}
	l.detect(head, t.settings.String("encoding"), utf8Text)
	if l.encoding == "utf-16" {
		head = head[:len(head)&^1]
	}
	decoded, err := io.ReadAll(l.text(bytes.NewReader(head)))
	if err != nil {
		return nil, fault.New(fault.Invalid, "csv: decode %s as %s: %w", t.where(), l.encoding, err)
	}
	text := string(decoded)
	if strings.TrimSpace(text) == "" {
		return nil, fault.New(fault.Invalid, "csv: %s is empty", t.where()).
			WithHint("an empty file is no empty directory; a file without people still has its header")
	}
	if !strings.Contains(text, "\n") && strings.Contains(text, "\r") {
		l.oldMac = true
		text = strings.ReplaceAll(text, "\r", "\n")
	}
	if rest, sep, ok := excelHint(text); ok {
		text, l.separator, l.skip = rest, sep, 1
	}
	switch t.settings.String("separator") {
	case "comma":
		l.separator = ','
	case "semicolon":
		l.separator = ';'
	case "tab":
		l.separator = '\t'
	default:
		if l.separator == 0 {
			l.separator = account.Separator(text)
		}
	}
	return l, t.readHeader(l, text, len(head) >= headSize)
}

// excelHint takes off a first line such as "sep=;".
func excelHint(text string) (rest string, sep rune, ok bool) {
	line, rest, found := strings.Cut(text, "\n")
	line = strings.TrimRight(strings.Trim(strings.TrimRight(line, "\r"), `"`), " ")
	if !found || len(line) != 5 || !strings.EqualFold(line[:4], "sep=") || line[4] != ',' && line[4] != ';' && line[4] != '\t' {
		return text, 0, false
	}
	return rest, rune(line[4]), true
}

func (t *table) readHeader(l *layout, text string, cut bool) error {
	r := csv.NewReader(strings.NewReader(text))
	r.Comma, r.FieldsPerRecord = l.separator, -1
	header, err := r.Read()
	if err != nil || cut && r.InputOffset() >= int64(len(text)) {
		return fault.New(fault.Invalid, "csv: read the header of %s: the first row has an open or misplaced quote, or is longer than 64 KiB", t.where()).
			WithHint("the first row holds the names of the columns")
	}
	if bareReturn([]byte(text[:r.InputOffset()]), false) {
		return fault.New(fault.Invalid, "csv: read the header of %s: a carriage return stands in the middle of the first row", t.where()).
			WithHint("the line ends are mixed: save the file with one kind of them")
	}
	seen := map[string]int{} // the column's number
	for i, name := range header {
		if strings.IndexByte(name, 0) >= 0 {
			f := fault.New(fault.Invalid, "csv: read the header of %s: it contains NUL bytes", t.where())
			if l.encoding == "utf-16" {
				return f.WithHint("this is no text in UTF-16: save the file as CSV in UTF-8 and leave encoding out")
			}
			return f.WithHint("the file is probably UTF-16: set encoding to utf-16")
		}
		name = strings.TrimSpace(name)
		header[i] = name
		if name == "" {
			continue
		}
		folded := strings.ToLower(name)
		if first, twice := seen[folded]; twice {
			return fault.New(fault.Invalid, "csv: read the header of %s: columns %d and %d have the same name", t.where(), first, i+1).
				WithHint("give each column a name of its own")
		}
		seen[folded] = i + 1
	}
	l.header = header
	return nil
}
