package seal

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"rollcall.dev/rollcall/internal/fault"
)

func sealed(t *testing.T, r *Ring, purpose, plain string) []byte {
	t.Helper()
	b, err := r.Seal(purpose, []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestASealedTextOpensForItsPurposeAlone(t *testing.T) {
	r := &Ring{Path: filepath.Join(t.TempDir(), "rollcall.key")}
	s := sealed(t, r, "connection hq bind_password", "Sesame")
	if bytes.Contains(s, []byte("Sesame")) || bytes.Equal(s, sealed(t, r, "connection hq bind_password", "Sesame")) {
		t.Error("the text can be read, or told to be the same as another")
	}
	if plain, err := r.Open("connection hq bind_password", s); err != nil || string(plain) != "Sesame" {
		t.Errorf("%q, %v", plain, err)
	}
	if _, err := r.Open("connection other bind_password", s); fault.KindOf(err) != fault.Invalid || err == nil {
		t.Error("moved to another connection it opens:", err)
	}
	for i := range s {
		altered := bytes.Clone(s)
		altered[i] ^= 1
		if plain, err := r.Open("connection hq bind_password", altered); err == nil {
			t.Fatalf("altered at byte %d it opens as %q", i, plain)
		}
		if plain, err := r.Open("connection hq bind_password", s[:i]); err == nil {
			t.Fatalf("cut at byte %d it opens as %q", i, plain)
		}
	}
}

func TestAfterARotationOldTextsOpenAndFingerprintsStay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rollcall.key")
	here, there := &Ring{Path: path}, &Ring{Path: path} // two processes
	old := sealed(t, here, "p", "old")
	if _, err := there.Open("p", old); err != nil {
		t.Fatal(err)
	}
	kept, err := here.Fingerprint("password", "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := here.Rotate(); err != nil {
		t.Fatal(err)
	}
	if newest, err := here.Newest(old); err != nil || newest {
		t.Error("the old text counts as sealed with the new key", err)
	}
	fresh := sealed(t, here, "p", "new")
	for _, r := range []*Ring{here, there} {
		for _, c := range []struct {
			s    []byte
			want string
		}{{old, "old"}, {fresh, "new"}} {
			if plain, err := r.Open("p", c.s); err != nil || string(plain) != c.want {
				t.Errorf("%q, %v instead of %q", plain, err, c.want)
			}
		}
		if again, err := r.Fingerprint("password", "x"); err != nil || again != kept {
			t.Error("a fingerprint changed", err)
		}
	}
	for range 3 {
		if err := here.Rotate(); err != nil {
			t.Fatal(err)
		}
	}
	if err := here.Retire(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 3*keySize {
		t.Error(info.Size(), err)
	}
	if _, err := here.Open("p", fresh); fault.KindOf(err) != fault.Conflict || fault.HintOf(err) == "" {
		t.Error("a text of a key that was retired:", err)
	}
	if again, err := here.Fingerprint("password", "x"); err != nil || again != kept {
		t.Error("a fingerprint changed", err)
	}
	if plain, err := here.Open("p", old); err != nil || string(plain) != "old" {
		t.Error("the first key stays, for fingerprints; what it sealed opens:", err)
	}
}
