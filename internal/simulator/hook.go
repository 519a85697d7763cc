package simulator

import (
	"encoding/binary"

	"rollcall.dev/rollcall/internal/simulator/wire"
)

// Hook is called for each request before it is answered, from the goroutine that
// answers it: it may take its time. What it returns changes the answer; nil
// changes nothing.
type Hook func(c *Call) *Twist

// Call is a request a hook is asked about.
type Call struct {
	Conn    int    // the connection, from 1 in their order
	Number  int64  // the request, from 1 in their order on this server
	DN      string // who is signed in; "" for nobody
	Request *wire.Request
	Done    <-chan struct{} // closed when nobody waits for the answer any more
}

// Search gives the request if it is a search, or nil.
func (c *Call) Search() *wire.Search {
	q, ok := c.Request.Op.(*wire.Search)
	if !ok {
		return nil
	}
	return q
}

// Deed is what is done to an answer.
type Deed uint8

// The deeds. Entries are those of the answer to one search.
const (
	Nothing   Deed = iota
	CutBefore      // the connection ends in place of the entry
	CutAfter       // the connection ends behind the entry
	Drop           // the entry is left out
	Repeat         // the entry comes twice
	Endless        // the entry comes again and again, until the connection ends
	Garbage        // bytes that are no LDAP come before the entry
	OverLong       // an entry of 2 GiB begins, of which a kilobyte comes
	Stall          // nothing comes before Until is closed
	Silence        // the answer has no end; At does not matter
	Stop           // the answer ends with Instead in place of the entry
	Goodbye        // a notice of disconnection comes in place of the entry, and the end
)

// Last stands for the final result in place of an entry's number.
const Last = -1

// Twist is what goes differently in one answer. The zero value is an answer as
// usual.
type Twist struct {
	// Instead is the result of the request in place of doing it, or, with Stop, of
	// doing the rest of it.
	Instead *wire.Result
	// Deed is done at the entry At (from 1), or at the final result (Last).
	Deed  Deed
	At    int
	Until <-chan struct{}
	// CutByte ends the connection behind this many bytes of the answer; 0 does not.
	CutByte int64
	// Reset ends connections by RST in place of FIN.
	Reset bool
}

// noLDAP are bytes no message begins with.
var noLDAP = []byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

// endless begins a message of 2 GiB for a request: an entry with a name and a
// kilobyte of what follows.
func endless(id int64) []byte {
	b := []byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 0x02, 0x04}
	b = binary.BigEndian.AppendUint32(b, uint32(id)) //nolint:gosec // message IDs have 31 bits
	b = append(b, 0x64, 0x84, 0x7f, 0xff, 0xff, 0xf0, 0x04, 0x0a)
	b = append(b, "cn=endless"...)
	return append(b, make([]byte, 1<<10)...)
}
