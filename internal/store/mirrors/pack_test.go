package mirrors

import (
	"bytes"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
)

func TestARecordComesBackAsItWasAndALongOneTakesLess(t *testing.T) {
	t.Parallel()
	for _, members := range []int{0, 1, 30, 40, 5000} {
		r := directory.Record{Kind: directory.Group, ID: "g1", Name: "cn=all"}
		for i := range members {
			r.Members = append(r.Members, "uid=person"+strings.Repeat("x", i%7)+",ou=people,dc=example,dc=org")
		}
		plain := r.Append(nil)
		kept := pack(plain)
		got, err := unpack(kept)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d members: %v", members, err)
		}
		if len(plain) >= long && 2*len(kept) > len(plain) || len(plain) < long && !bytes.Equal(kept, plain) {
			t.Errorf("%d members: %d bytes are kept as %d", members, len(plain), len(kept))
		}
	}
}

func TestADamagedRecordIsAnError(t *testing.T) {
	t.Parallel()
	kept := pack((&directory.Record{Kind: directory.Group, Members: []string{strings.Repeat("uid=a,", 1000)}}).Append(nil))
	for _, bad := range [][]byte{{packed}, kept[:len(kept)-1], {packed, 0xff, 0xff, 0xff, 0xff, 0x0f}} {
		if got, err := unpack(bad); err == nil || fault.KindOf(err) != fault.Internal {
			t.Errorf("%x is %d bytes, %v", bad[:min(8, len(bad))], len(got), err)
		}
	}
}
