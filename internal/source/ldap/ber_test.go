package ldap

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"rollcall.dev/rollcall/internal/directory"
)

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	for _, n := range []int{0, 1, -1, 127, 128, -128, -129, 255, 256, 1000, 65535, math.MaxInt32, math.MinInt32} {
		var w writer
		w.integer(tagInteger, n)
		c := cursor(w.b)
		if got, err := c.integer(tagInteger); got != n || err != nil || len(c) != 0 {
			t.Errorf("%d came back as %d, %v", n, got, err)
		}
	}
	for _, n := range []int{0, 1, 127, 128, 255, 256, 65535, 65536, 1 << 20} {
		var w writer
		w.begin(tagSequence)
		w.string(tagOctetString, strings.Repeat("x", n))
		w.end()
		c := cursor(w.b)
		inner, err := c.take(tagSequence)
		if err != nil || len(c) != 0 {
			t.Fatal(err)
		}
		if s, err := inner.take(tagOctetString); len(s) != n || err != nil || len(inner) != 0 {
			t.Errorf("a string of %d came back with %d, %v", n, len(s), err)
		}
	}
}

func TestWhatIsNotLDAPIsRefused(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     error
	}{
		{"nothing", "", errShort},
		{"a tag alone", "\x04", errShort},
		{"a tag of many bytes", "\x1f\x81\x01\x00", errTag},
		{"an indefinite length", "\x30\x80\x00\x00", errLength},
		{"a length of nine bytes", "\x30\x89\x00\x00\x00\x00\x00\x00\x00\x00\x01x", errLength},
		{"a length that is cut", "\x30\x82\x01", errShort},
		{"more than there is", "\x04\x05abcd", errShort},
		{"a length that would overflow", "\x04\x88\xff\xff\xff\xff\xff\xff\xff\xffx", errShort},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := cursor(c.in)
			if _, _, err := in.next(); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
	long := cursor("\x04\x84\x00\x00\x00\x01x") // longer than needed is allowed
	if v, err := long.take(tagOctetString); v != "x" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
}

func TestMessagesAreCutOutOfAStreamHoweverItComes(t *testing.T) {
	var w writer
	var want []string
	for _, n := range []int{0, 1, 100, readAhead - 10, readAhead, 3 * readAhead, 5} {
		w.begin(tagSequence)
		w.string(tagOctetString, strings.Repeat("y", n))
		w.end()
		want = append(want, strings.Repeat("y", n))
	}
	for name, src := range map[string]io.Reader{
		"at once": bytes.NewReader(w.b), "by halves": iotest.HalfReader(bytes.NewReader(w.b)),
		"byte by byte": iotest.OneByteReader(bytes.NewReader(w.b)), "with the end": iotest.DataErrReader(bytes.NewReader(w.b)),
	} {
		t.Run(name, func(t *testing.T) {
			f := frames{src: src, buf: make([]byte, readAhead), max: maxFrame}
			for _, s := range want {
				frame, err := f.next()
				c := cursor(frame)
				if got, e := c.take(tagOctetString); err != nil || e != nil || string(got) != s {
					t.Fatalf("%d bytes in place of %d, %v, %v", len(got), len(s), err, e)
				}
			}
			if _, err := f.next(); !errors.Is(err, io.EOF) {
				t.Errorf("at the end: %v", err)
			}
		})
	}
}

func TestAStreamThatEndsInsideAMessageSaysSo(t *testing.T) {
	var w writer
	w.begin(tagSequence)
	w.string(tagOctetString, strings.Repeat("z", 2*readAhead))
	w.end()
	for _, n := range []int{1, 3, 6, 20, readAhead + 6, len(w.b) - 1} {
		f := frames{src: bytes.NewReader(w.b[:n]), buf: make([]byte, readAhead), max: maxFrame}
		if _, err := f.next(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut after %d: %v", n, err)
		}
	}
}

func anEntry() string {
	var w writer
	w.integer(tagInteger, 2)
	w.begin(opEntry)
	w.string(tagOctetString, "uid=anna,ou=people,dc=example,dc=org")
	w.begin(tagSequence)
	for _, a := range [][2]string{{"entryUUID", "6a2b3c4d-0000-4000-8000-000000000001"}, {"uid", "anna"}, {"mail", "anna@example.org"}, {"sn", "Ames"}} {
		w.begin(tagSequence)
		w.string(tagOctetString, a[0])
		w.begin(tagSet)
		w.string(tagOctetString, a[1])
		w.end()
		w.end()
	}
	w.end()
	w.end()
	return string(w.b)
}

func TestDecodingAnEntryTakesNoMemoryBesideItsFrame(t *testing.T) {
	frame := anEntry()
	d := newDecoder(directory.User, "entryUUID", []string{"uid", "mail", "sn"}, "", nil)
	if n := testing.AllocsPerRun(100, func() {
		_, m, err := decodeMessage(frame)
		if err != nil {
			t.Fatal(err)
		}
		if r, _, err := d.record(m.op); err != nil || len(r.Attributes) != 3 {
			t.Fatal(r, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func FuzzAnswers(f *testing.F) {
	wrap := func(content string) []byte {
		var w writer
		w.string(tagSequence, content)
		return w.b
	}
	f.Add(wrap(anEntry()))
	for _, s := range []string{
		"\x02\x01\x02\x65\x07\x0a\x01\x00\x04\x00\x04\x00\xa0\x23\x30\x21\x04\x16" + oidPaging + "\x04\x07\x30\x05\x02\x01\x00\x04\x00",
		"\x02\x01\x02\x65\x14\x0a\x01\x0a\x04\x00\x04\x00\xa3\x0b\x04\x09ldap://x/",
		"\x02\x01\x02\x73\x0b\x04\x09ldap://x/",
		"\x02\x01\x02\x64\x1c\x04\x02a=\x30\x16\x30\x14\x04\x0fmember;range=0-0\x31\x01\x04",
	} {
		f.Add(wrap(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in := frames{src: bytes.NewReader(b), buf: make([]byte, readAhead), max: 1 << 20}
		d := newDecoder(directory.Group, "entryUUID", []string{"mail"}, "cn", []string{"member"})
		for {
			frame, err := in.next()
			if err != nil {
				return
			}
			_, m, err := decodeMessage(frame)
			if err != nil {
				return
			}
			switch m.tag {
			case opEntry:
				r, parts, err := d.record(m.op)
				if err != nil {
					continue
				}
				if r.ID == "" && r.Problem == "" {
					t.Fatalf("a record without ID and without a problem: %+v", r)
				}
				for _, p := range parts {
					if p.next < 0 {
						t.Fatalf("%+v", p)
					}
				}
			default:
				r, err := decodeResult(m)
				if err == nil {
					_ = r.err().Error()
				}
			}
		}
	})
}
