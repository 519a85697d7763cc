package engine

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"strings"
	"time"
)

var letters = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// newID gives a short name that sorts by time: a letter for the kind, the
// seconds, and 40 random bits.
func newID(kind string, now time.Time) string {
	b := make([]byte, 10)
	binary.BigEndian.PutUint64(b, uint64(now.Unix())<<24)
	if _, err := rand.Read(b[5:]); err != nil {
		panic(err) // crypto/rand does not fail on the systems we run on
	}
	return kind + strings.TrimLeft(letters.EncodeToString(b), "0")
}
