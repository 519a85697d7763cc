package ldap

import "encoding/binary"

// seenOf says that a naming context has all changes that a domain controller has made in
// it up to a number.
type seenOf struct {
	invocation string // of the controller's database, as text
	usn        uint64
}

// decodeVector reads a value of replUpToDateVector: the version, the number of cursors,
// and the cursors, all numbers little-endian, as in UPTODATE_VECTOR_V1_EXT and _V2_EXT
// (MS-DRSR 5.204, 5.205). What is none, or of another version, says nothing.
//
//	02000000 00000000 01000000 00000000
//	4547c8cfc57eea4585514377a4930d71 a50f000000000000 0000803ed5deb19d01…
func decodeVector(v string) []seenOf {
	const head, id = 16, 16
	b := []byte(v)
	if len(b) < head {
		return nil
	}
	var size int
	switch binary.LittleEndian.Uint32(b) {
	case 1: // UPTODATE_CURSOR_V1: invocation ID and USN
		size = id + 8
	case 2: // UPTODATE_CURSOR_V2: and the time of the last success
		size = id + 8 + 8
	default:
		return nil
	}
	n := uint64(binary.LittleEndian.Uint32(b[8:]))
	b = b[head:]
	if n*uint64(size) != uint64(len(b)) {
		return nil
	}
	var out []seenOf
	for ; len(b) > 0; b = b[size:] {
		out = append(out, seenOf{guid(string(b[:id])), binary.LittleEndian.Uint64(b[id:])})
	}
	return out
}
