package mirrors

import (
	"github.com/klauspost/compress/s2"

	"rollcall.dev/rollcall/internal/fault"
)

// The record of a group names its members, and their names are much alike: packed, it
// takes a third of the room. One of a person is short, and lies there as it is.

const (
	// packed is the first byte of a record that is packed by S2. One that is not begins
	// with the version of its encoding (see directory.Record), which is small.
	packed = 0xff
	// long is from how many bytes on a record is packed.
	long = 2048
	// mostRecord is more than the bytes of any record.
	mostRecord = 1 << 30
)

func pack(record []byte) []byte {
	if len(record) < long || len(record) > mostRecord {
		return record
	}
	out := make([]byte, 1+s2.MaxEncodedLen(len(record)))
	out[0] = packed
	return out[:1+len(s2.Encode(out[1:], record))]
}

func unpack(kept []byte) ([]byte, error) {
	if len(kept) == 0 || kept[0] != packed {
		return kept, nil
	}
	if n, err := s2.DecodedLen(kept[1:]); err == nil && n <= mostRecord {
		if record, err := s2.Decode(nil, kept[1:]); err == nil {
			return record, nil
		}
	}
	return nil, fault.New(fault.Internal, "mirror: a stored record is damaged").WithHint("run `rollcall connections reset` to read it again")
}
