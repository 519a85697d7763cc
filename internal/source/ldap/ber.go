package ldap

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// LDAP's own subset of BER (RFC 4511, 5.1): definite lengths, one-byte tags.
const (
	tagBoolean     = 0x01
	tagInteger     = 0x02
	tagOctetString = 0x04
	tagEnumerated  = 0x0a
	tagSequence    = 0x30
	tagSet         = 0x31
)

var (
	errShort  = errors.New("a message is shorter than it says")
	errTag    = errors.New("a message has an unexpected element")
	errLength = errors.New("a message has a length LDAP does not allow")
	errNumber = errors.New("a message has a number out of range")
)

// cursor is what is left to read of an element. It cuts strings out of a frame
// and copies nothing.
type cursor string

// next takes one element: its tag and its content.
func (c *cursor) next() (byte, cursor, error) {
	s := *c
	if len(s) < 2 {
		return 0, "", errShort
	}
	if s[0]&0x1f == 0x1f {
		return 0, "", errTag
	}
	n, at := uint64(s[1]), 2
	if n >= 0x80 {
		k := int(n & 0x7f)
		if k == 0 || k > 8 {
			return 0, "", errLength
		}
		if len(s) < 2+k {
			return 0, "", errShort
		}
		for n = 0; at < 2+k; at++ {
			n = n<<8 | uint64(s[at])
		}
	}
	if n > uint64(len(s)-at) {
		return 0, "", errShort
	}
	end := at + int(n)
	*c = s[end:]
	return s[0], s[at:end], nil
}

// take is next where only one tag is right.
func (c *cursor) take(tag byte) (cursor, error) {
	got, content, err := c.next()
	if err == nil && got != tag {
		err = errTag
	}
	return content, err
}

// integer takes an INTEGER or ENUMERATED of at most 32 bits.
func (c *cursor) integer(tag byte) (int, error) {
	v, err := c.take(tag)
	if err != nil {
		return 0, err
	}
	if len(v) == 0 || len(v) > 4 {
		return 0, errNumber
	}
	n := int32(int8(v[0]))
	for i := 1; i < len(v); i++ {
		n = n<<8 | int32(v[i])
	}
	return int(n), nil
}

// writer builds a message. Elements that hold others are given four bytes of
// length, filled in when they end.
type writer struct {
	b    []byte
	open []int
}

func (w *writer) reset() { w.b, w.open = w.b[:0], w.open[:0] }

func (w *writer) begin(tag byte) {
	w.b = append(w.b, tag, 0x84, 0, 0, 0, 0)
	w.open = append(w.open, len(w.b))
}

func (w *writer) end() {
	at := w.open[len(w.open)-1]
	w.open = w.open[:len(w.open)-1]
	n := len(w.b) - at
	w.b[at-4], w.b[at-3], w.b[at-2], w.b[at-1] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
}

func (w *writer) string(tag byte, s string) {
	n := len(s)
	switch {
	case n < 0x80:
		w.b = append(w.b, tag, byte(n))
	case n < 1<<16:
		w.b = append(w.b, tag, 0x82, byte(n>>8), byte(n))
	default:
		w.b = append(w.b, tag, 0x84, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	w.b = append(w.b, s...)
}

func (w *writer) integer(tag byte, n int) {
	size := 1
	for v := n; v > 127 || v < -128; v >>= 8 {
		size++
	}
	w.b = append(w.b, tag, byte(size))
	for i := size - 1; i >= 0; i-- {
		w.b = append(w.b, byte(n>>(8*i)))
	}
}

// boolean writes TRUE as 0xFF, the only form RFC 4511 allows: Samba takes any
// other for false.
func (w *writer) boolean(v bool) {
	b := byte(0)
	if v {
		b = 0xff
	}
	w.b = append(w.b, tagBoolean, 1, b)
}

const (
	maxFrame  = 32 << 20
	readAhead = 64 << 10
	mostAhead = 1 << 20
)

// frames cuts a stream into messages through one buffer, which grows, up to mostAhead,
// only for who looks ahead.
type frames struct {
	src  io.Reader
	buf  []byte
	r, w int
	max  int
	// waiting is called before the stream is waited for, when the time without
	// progress starts anew: with each message, and each readAhead bytes of one.
	waiting func() error
	since   int
	// poll reads what has come, without waiting; nil where that cannot be.
	poll func([]byte) (int, error)
	err  error // what it came upon
	seen int   // where in buf the first message begins that was not looked at
}

// next gives the content of the next LDAPMessage as a string of its own, which
// is all the memory its parts will ever need. io.EOF means the stream ended
// between two messages.
func (f *frames) next() (string, error) {
	f.since = readAhead
	if err := f.fill(2); err != nil {
		return "", err
	}
	head := 2
	n := uint64(f.buf[f.r+1])
	if f.buf[f.r] != tagSequence {
		return "", fmt.Errorf("%w: this is not LDAP", errTag)
	}
	if n >= 0x80 {
		k := int(n & 0x7f)
		if k == 0 || k > 8 {
			return "", errLength
		}
		head += k
		if err := f.fill(head); err != nil {
			return "", err
		}
		n = 0
		for _, b := range f.buf[f.r+2 : f.r+head] {
			n = n<<8 | uint64(b)
		}
	}
	if n > uint64(f.max) {
		return "", f.tooBig(head, n)
	}
	f.r += head
	left := int(n)
	if left <= len(f.buf) {
		if err := f.fill(left); err != nil {
			return "", broken(err)
		}
		f.r += left
		return string(f.buf[f.r-left : f.r]), nil
	}
	// Grown as it comes: a length alone must not make us take memory.
	var b strings.Builder
	for left > 0 {
		if err := f.fill(1); err != nil {
			return "", broken(err)
		}
		part := f.buf[f.r:min(f.w, f.r+left)]
		b.Write(part)
		f.r += len(part)
		left -= len(part)
	}
	return b.String(), nil
}

// broken tells a stream that ended inside a message from one that ended after it.
func broken(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// fill waits until n bytes, at most the buffer, are there.
func (f *frames) fill(n int) error {
	if f.w-f.r >= n {
		return nil
	}
	f.move(f.buf)
	for f.w < n {
		if f.err != nil {
			return f.err
		}
		if f.since >= readAhead && f.waiting != nil {
			if err := f.waiting(); err != nil {
				return err
			}
			f.since = 0
		}
		got, err := f.src.Read(f.buf[f.w:])
		f.w += got
		f.since += got
		if f.w >= n {
			return nil
		}
		if errors.Is(err, io.EOF) && f.w > 0 {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// move takes what is there to the beginning of a buffer.
func (f *frames) move(to []byte) {
	f.seen = max(0, f.seen-f.r)
	f.w = copy(to, f.buf[f.r:f.w])
	f.buf, f.r = to, 0
}

// look looks through what has come, without waiting and without taking it, for the first
// message with an operation that was not looked at before, and gives its content.
func (f *frames) look(op byte) (string, bool) {
	if f.poll == nil || f.err != nil {
		return "", false
	}
	if len(f.buf)-f.w < readAhead/4 {
		switch {
		case f.r >= len(f.buf)/4:
			f.move(f.buf)
		case len(f.buf) < mostAhead:
			f.move(make([]byte, 2*len(f.buf)))
		default:
			return "", false // there is enough to work on
		}
	}
	var n int
	n, f.err = f.poll(f.buf[f.w:])
	f.w += n
	f.seen = max(f.seen, f.r)
	for {
		m, size := first(f.buf[f.seen:f.w])
		if size == 0 {
			return "", false
		}
		f.seen += size
		// Before the operation stands the message's number, an INTEGER.
		if len(m) > 2 && m[0] == tagInteger && len(m) > 2+int(m[1]) && m[2+int(m[1])] == op {
			return string(m), true
		}
	}
}

// first gives the content of the first message of b and the size of all of it, 0 where
// it is not there to its end or is none.
func first(b []byte) (content []byte, size int) {
	if len(b) < 2 || b[0] != tagSequence {
		return nil, 0
	}
	head, n := 2, uint64(b[1])
	if n >= 0x80 {
		k := int(n & 0x7f)
		if k == 0 || k > 8 || len(b) < 2+k {
			return nil, 0
		}
		head += k
		n = 0
		for _, v := range b[2:head] {
			n = n<<8 | uint64(v)
		}
	}
	if n > uint64(len(b)-head) {
		return nil, 0
	}
	size = head + int(n)
	return b[head:size], size
}

// tooBig says which entry is over the limit, as far as that can be told from what
// came of it already: more may never come.
func (f *frames) tooBig(head int, n uint64) error {
	err := fmt.Errorf("a message of %d bytes is over the limit of %d", n, f.max)
	c := cursor(f.buf[f.r+head : f.w])
	if _, e := c.integer(tagInteger); e != nil || len(c) < 6 || c[0] != opEntry {
		return err
	}
	skip := 2
	if c[1] >= 0x80 {
		skip += int(c[1] & 0x7f)
	}
	if skip > len(c) {
		return err
	}
	c = c[skip:]
	if dn, e := c.take(tagOctetString); e == nil {
		return fmt.Errorf("the entry %s: %w", quoted(string(dn)), err)
	}
	return err
}
