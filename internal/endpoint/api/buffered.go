package api

import (
	"encoding/json"
	"io"
)

// buffered gathers small pieces into writes of some size, and puts commas between
// the items of a JSON array.
type buffered struct {
	w   io.Writer
	b   []byte
	n   int // items since the last text
	err error
}

const piece = 64 << 10

func (o *buffered) text(s string) {
	o.b, o.n = append(o.b, s...), 0
}

func (o *buffered) item(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if o.n++; o.n > 1 {
		o.b = append(o.b, ',')
	}
	return o.raw(b)
}

// line is item for newline-delimited JSON.
func (o *buffered) line(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return o.raw(append(b, '\n'))
}

func (o *buffered) raw(b []byte) error {
	if o.b = append(o.b, b...); len(o.b) >= piece {
		return o.end()
	}
	return o.err
}

// Write makes it a writer for encoding/csv.
func (o *buffered) Write(b []byte) (int, error) { return len(b), o.raw(b) }

// end writes what is left.
func (o *buffered) end() error {
	if o.err == nil && len(o.b) > 0 {
		_, o.err = o.w.Write(o.b)
	}
	o.b = o.b[:0]
	return o.err
}
