package plan

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"reflect"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
)

// deflated is a chunk as it was written before.
func deflated(t *testing.T, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z, err := flate.NewWriter(&out, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestAPlanWrittenByDeflateIsStillRead(t *testing.T) {
	var text []byte
	for _, c := range changes() {
		text = AppendChange(text, &c)
	}
	want, err := Changes(compress(text))
	if err != nil || len(want) != len(changes()) {
		t.Fatalf("%d changes: %v", len(want), err)
	}
	got, err := Changes(deflated(t, text))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n%+v", err, got)
	}
	notes, err := Notes(deflated(t, []byte(`{"kind":"due"}`+"\n")))
	if err != nil || len(notes) != 1 || notes[0].Kind != Due {
		t.Errorf("%+v, %v", notes, err)
	}
	for n := range 300 { // whatever it begins with, no such stream is taken for the other kind
		if body := deflated(t, bytes.Repeat([]byte{byte(n)}, n)); body[0] == packed {
			t.Fatalf("a stream of %d bytes begins with %x", n, packed)
		}
	}
}

func TestAChunkThatLiesAboutItsLengthTakesNoMemory(t *testing.T) {
	body := binary.AppendUvarint([]byte{packed}, 1<<31)
	if _, err := uncompress(append(body, "x"...)); !errors.Is(err, errChunk) {
		t.Error(err)
	}
}

func TestLongAttributesEndAChunkBeforeItsRowsDo(t *testing.T) {
	attribute := strings.Repeat("0123456789abcdef", 1<<16) // a mebibyte
	var list []Change
	for i := range 20 {
		list = append(list, Change{Action: Create, Target: Account, Account: account.ID{byte(i)}, After: &account.Account{Attributes: attribute}})
	}
	w := write(t, "basis", list)
	if len(w.bodies) != 3 {
		t.Errorf("%d chunks", len(w.bodies))
	}
	if got := w.read(t); len(got) != len(list) || got[19].After.Attributes != attribute {
		t.Errorf("%d changes came back", len(got))
	}
}
