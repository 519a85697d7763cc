package tunnel

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
)

// What is said on a stream is a row of frames: what it is (a byte), how long it is (four
// bytes, the highest first), and that many bytes.
type frame byte

// The frames. Whoever meets one from 128 on that it does not know passes it over: it may
// be left out.
const (
	frameCall     frame = 1  // what is asked for; the first of a stream
	frameTaken    frame = 2  // the call is being worked on
	frameDone     frame = 3  // the outcome; the last of a stream
	frameFail     frame = 4  // the error in place of an outcome
	frameRecord   frame = 5  // a record
	frameStep     frame = 6  // a step of a check
	frameProgress frame = 7  // how far a reading or a run is
	frameAsk      frame = 8  // whoever works on a call asks something back
	frameAnswer   frame = 9  // what is answered to that
	frameKeys     frame = 10 // digests of entries that are known; an empty one is the last
	frameChanged  frame = 11 // the directory says that something changed
	frameAlive    frame = 128
)

const headerLength = 5

// errFrame is what whoever does not keep to the frames is told.
var errFrame = errors.New("tunnel: what came is not of the protocol")

// reader takes frames from a stream.
type reader struct {
	r   *bufio.Reader
	buf []byte // of the last frame; the next one takes its place
	lim Limits
}

func newReader(r io.Reader, lim Limits) *reader {
	return &reader{r: bufio.NewReaderSize(r, 64<<10), lim: lim}
}

// next gives a frame. Its bytes are good until the one after it is asked for.
func (r *reader) next() (frame, []byte, error) {
	for {
		var head [headerLength]byte
		if _, err := io.ReadFull(r.r, head[:]); err != nil {
			return 0, nil, err
		}
		what, length := frame(head[0]), int64(binary.BigEndian.Uint32(head[1:]))
		most := int64(r.lim.Message)
		if what == frameRecord {
			most = int64(r.lim.Record)
		}
		if length > most {
			return 0, nil, fmt.Errorf("%w: a frame of %d bytes, where %d are the most", errFrame, length, most)
		}
		body, err := r.body(length)
		if err != nil {
			return 0, nil, err
		}
		if what < frameCall || what > frameChanged && what < 128 {
			return 0, nil, fmt.Errorf("%w: a frame of the kind %d", errFrame, what)
		}
		if what > frameAlive { // of a later version, which can do without it
			continue
		}
		return what, body, nil
	}
}

// body reads a frame's bytes. A length alone takes no memory: what is there does.
func (r *reader) body(length int64) ([]byte, error) {
	if length <= int64(cap(r.buf)) {
		r.buf = r.buf[:length]
		_, err := io.ReadFull(r.r, r.buf)
		return r.buf, whole(err)
	}
	b := bytes.NewBuffer(make([]byte, 0, min(length, 64<<10)))
	if _, err := io.CopyN(b, r.r, length); err != nil {
		return nil, whole(err)
	}
	if b.Cap() <= 1<<20 { // one large record does not take its memory for the whole reading
		r.buf = b.Bytes()
	}
	return b.Bytes(), nil
}

// whole makes the end of a stream in the middle of a frame an error.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// writer puts frames on a stream. What it was given may wait for more, until flush.
type writer struct {
	w   *bufio.Writer
	buf []byte
}

func newWriter(w io.Writer) *writer { return &writer{w: bufio.NewWriterSize(w, 64<<10)} }

func (w *writer) put(what frame, body []byte) error {
	var head [headerLength]byte
	head[0] = byte(what)
	if len(body) > DefaultLimits().Record {
		return fault.New(fault.Invalid, "tunnel: a record of %d bytes, where %d are the most", len(body), DefaultLimits().Record)
	}
	binary.BigEndian.PutUint32(head[1:], uint32(len(body))) //nolint:gosec // see above
	if _, err := w.w.Write(head[:]); err != nil {
		return err
	}
	_, err := w.w.Write(body)
	return err
}

func (w *writer) json(what frame, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.put(what, b)
}

func (w *writer) flush() error { return w.w.Flush() }

// say puts a frame on the stream and sends all that waits.
func (w *writer) say(what frame, v any) error {
	if err := w.json(what, v); err != nil {
		return err
	}
	return w.flush()
}

// What a record is besides its encoded form, in the first byte of its frame.
const (
	isGone      = 1 << iota
	isPresent   //
	hasPassword // its length and itself follow
	allFlags    = isGone | isPresent | hasPassword
)

func (w *writer) record(r *directory.Record) error {
	b := append(w.buf[:0], 0)
	if r.Gone {
		b[0] |= isGone
	}
	if r.Present {
		b[0] |= isPresent
	}
	if r.Password != "" {
		b[0] |= hasPassword
		b = binary.AppendUvarint(b, uint64(len(r.Password)))
		b = append(b, r.Password...)
	}
	b = r.Append(b)
	if cap(b) <= 1<<20 {
		w.buf = b
	}
	return w.put(frameRecord, b)
}

// decodeRecord is record's other side.
func decodeRecord(b []byte, items int) (*directory.Record, error) {
	if len(b) == 0 || b[0]&^allFlags != 0 {
		return nil, errFrame
	}
	flags, password := b[0], ""
	b = b[1:]
	if flags&hasPassword != 0 {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return nil, errFrame
		}
		b = b[used:]
		password, b = string(b[:n]), b[n:]
	}
	if !modest(b, items) {
		return nil, fmt.Errorf("%w: a record with more than %d values", errFrame, items)
	}
	r := &directory.Record{}
	if r.Decode(b) != nil || r.Kind < directory.User || r.Kind > directory.Inner {
		return nil, fmt.Errorf("%w: a damaged record", errFrame)
	}
	r.Gone, r.Present, r.Password = flags&isGone != 0, flags&isPresent != 0, password
	return r, nil
}

// modest reports that an encoded record has no more attributes, values and members
// than it may: their counts make decoding take memory, however short they are.
func modest(b []byte, items int) bool {
	if len(b) < 2 {
		return false
	}
	b = b[2:] // version and kind
	number := func() int {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return -1
		}
		b = b[used:]
		return int(n) //nolint:gosec // no more than what follows
	}
	text := func() bool {
		n := number()
		if n < 0 {
			return false
		}
		b = b[n:]
		return true
	}
	list := func() bool {
		n := number()
		if items -= n; n < 0 || items < 0 {
			return false
		}
		for range n {
			if !text() {
				return false
			}
		}
		return true
	}
	for range 4 { // ID, name, ref, problem
		if !text() {
			return false
		}
	}
	attributes := number()
	if items -= 2 * attributes; attributes < 0 || items < 0 {
		return false
	}
	for range attributes {
		if !text() || !list() {
			return false
		}
	}
	return list()
}
