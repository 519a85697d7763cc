package plan

import (
	"bytes"
	"compress/flate"
	"io"
	"unsafe"

	"github.com/klauspost/compress/s2"
)

// packed is the first byte of a chunk that is packed by S2. No deflate stream, which
// is what chunks were until then, begins with it: it would be a block of the kind
// that RFC 1951 (3.2.3) reserves.
const packed = 0xff

// mostText is more than the text of any chunk: one is ended with the change that
// makes it longer than chunkBytes.
const mostText = 1 << 28

func compress(text []byte) []byte {
	body := make([]byte, 1+s2.MaxEncodedLen(len(text)))
	body[0] = packed
	return bytes.Clone(body[:1+len(s2.Encode(body[1:], text))])
}

// uncompress gives the text of a chunk.
func uncompress(body []byte) (string, error) {
	if len(body) == 0 || body[0] != packed {
		text, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(body)), mostText))
		if err != nil || len(text) == mostText { // the rest of it would be left out
			return "", errChunk
		}
		return string(text), nil
	}
	if n, err := s2.DecodedLen(body[1:]); err != nil || n > mostText {
		return "", errChunk
	}
	text, err := s2.Decode(nil, body[1:])
	if err != nil {
		return "", errChunk
	}
	return unsafe.String(unsafe.SliceData(text), len(text)), nil // nobody else has it
}
