package seal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"rollcall.dev/rollcall/internal/fault"
)

func TestAKeyIsMadeOnceAndReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rollcall.key")
	a, err := LoadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := LoadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if a.Fingerprint("password", "x") != b.Fingerprint("password", "x") {
		t.Error("the second reading is another key")
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() != 32 || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), info.Size(), err)
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
		t.Error("left behind:", left)
	}
	if s := fmt.Sprintf("%v %+v %#v", a, a, a); strings.Contains(s, "[") || strings.Contains(s, "secret") {
		t.Error("the key shows when printed")
	}
}

func TestProcessesThatStartTogetherShareOneKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rollcall.key")
	var wg sync.WaitGroup
	got := make([]string, 8)
	for i := range got {
		wg.Go(func() {
			if k, err := LoadKey(path); err == nil {
				got[i] = k.Fingerprint("p", "x")
			}
		})
	}
	wg.Wait()
	for _, g := range got {
		if g == "" || g != got[0] {
			t.Fatal(got)
		}
	}
}

func TestAKeyFileThatCannotBeTrustedIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		size int
		mode os.FileMode
		want string
		kind fault.Kind
	}{
		"others may read": {32, 0o644, "others may read", fault.Denied},
		"too short":       {31, 0o600, "has 31 bytes", fault.Invalid},
		"empty":           {0, 0o600, "has 0 bytes", fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, make([]byte, c.size), c.mode); err != nil {
				t.Fatal(err)
			}
			_, err := LoadKey(path)
			if err == nil || !strings.Contains(err.Error(), c.want) || fault.KindOf(err) != c.kind || fault.HintOf(err) == "" {
				t.Error(err)
			}
		})
	}
	if _, err := LoadKey(filepath.Join(t.TempDir(), "missing", "key")); err == nil {
		t.Error("a folder that is missing")
	}
}

func TestFingerprintsDependOnKeyPurposeAndText(t *testing.T) {
	a, b := &Key{secrets: [][]byte{random(32)}}, &Key{secrets: [][]byte{random(32)}}
	seen := map[string]bool{}
	for _, f := range []string{a.Fingerprint("p", "x"), b.Fingerprint("p", "x"), a.Fingerprint("q", "x"), a.Fingerprint("p", "y")} {
		if len(f) != 64 || seen[f] {
			t.Error(f)
		}
		seen[f] = true
	}
}

func TestAPasswordBelongsToItsHashOnly(t *testing.T) {
	ctx := context.Background()
	hash, err := HashPassword(ctx, "correct horse")
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatal(hash, err)
	}
	for plain, want := range map[string]bool{"correct horse": true, "Correct horse": false, "": false, "a\x00b": false} {
		if got, err := VerifyPassword(ctx, plain, hash); got != want || err != nil {
			t.Errorf("%q: %v, %v", plain, got, err)
		}
	}
	other, err := HashPassword(ctx, "correct horse")
	if err != nil || other == hash {
		t.Error("two hashes of one password are the same", err)
	}
}

func TestPasswordsThatAreNeverHashed(t *testing.T) {
	for name, plain := range map[string]string{"empty": "", "NUL": "a\x00", "endless": strings.Repeat("x", 1025)} {
		t.Run(name, func(t *testing.T) {
			if _, err := HashPassword(context.Background(), plain); fault.KindOf(err) != fault.Invalid {
				t.Error(err)
			}
		})
	}
}

func TestHashesThatAreDamagedAreErrors(t *testing.T) {
	for _, hash := range []string{
		"", "x", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$", "$argon2i$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
		"$argon2id$v=19$m=99999999,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA", "$argon2id$v=19$m=19456,t=0,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
		"$argon2id$v=19$m=19456,t=2,p=1,x$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA", "$argon2id$v=19$m=19456,t=2,p=1$!$aGFzaGhhc2hoYXNoaGFzaA",
	} {
		if ok, err := VerifyPassword(context.Background(), "x", hash); ok || err == nil {
			t.Errorf("%q: %v, %v", hash, ok, err)
		}
	}
}

func TestWaitingForAHashEndsWithTheContext(t *testing.T) {
	for range cap(hashing) {
		hashing <- struct{}{}
	}
	defer func() {
		for range cap(hashing) {
			<-hashing
		}
	}()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := HashPassword(ctx, "x"); fault.KindOf(err) != fault.Unavailable {
		t.Error(err)
	}
}

func FuzzParseHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA")
	f.Fuzz(func(t *testing.T, hash string) {
		p, salt, sum, err := parseHash(hash)
		if err == nil && (p.memory > 1<<18 || p.passes > 10 || len(salt) < 8 || len(sum) < 16) {
			t.Errorf("%q was taken", hash)
		}
	})
}
