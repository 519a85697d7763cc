// Package seal keeps secrets: a key outside the database, sealed texts, keyed
// fingerprints by which a changed password is noticed without keeping anything
// that could be guessed, and password hashes. It hands them on to sources, the
// engine and the store, which see only the sealed form.
package seal

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"rollcall.dev/rollcall/internal/fault"
)

const keySize = 32 // bytes, the size of a SHA-256 key

// mostKeys is how many keys a file may hold: the newest, the first, and what a
// rotation that was interrupted left between them.
const mostKeys = 16

// Key is the installation's secret key, safe for concurrent use. Its file holds
// the newest key first, and last the one it was made with, which fingerprints
// keep to.
type Key struct {
	secrets [][]byte
	derived sync.Map // purpose to derived key
}

// LoadKey reads the key file, making one of random bytes (mode 0600) where there
// is none. A file that others may read is refused, and so is one that is
// damaged: a new key in its place would turn every fingerprint into a change.
func LoadKey(path string) (*Key, error) {
	k, err := readKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if err := createKey(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fault.New(fault.Internal, "seal: create key file: %w", err).
			WithHint("the folder of the database must be writable for the user rollcall runs as")
	}
	return readKey(path) // made by us, or by another process that was faster
}

func readKey(path string) (*Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fault.New(fault.Invalid, "seal: open key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fault.New(fault.Invalid, "seal: key file %s: not a regular file", path)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fault.New(fault.Denied, "seal: key file %s: others may read or change it (mode %04o)", path, info.Mode().Perm()).
			WithHint("run: chmod 600 %s", path)
	}
	if n := info.Size(); n == 0 || n%keySize != 0 || n > mostKeys*keySize {
		return nil, fault.New(fault.Invalid, "seal: key file %s: has %d bytes, not %d or a few times as many", path, n, keySize).
			WithHint("restore it from a backup; if it is lost, remove it: every password counts as changed once, and the secrets of connections and webhooks have to be given again")
	}
	secret, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.New(fault.Invalid, "seal: read key file: %w", err).
			WithHint("the user rollcall runs as must be able to read it")
	}
	if int64(len(secret)) != info.Size() {
		return nil, fault.New(fault.Conflict, "seal: key file %s: changed while it was read", path)
	}
	return &Key{secrets: slices.Collect(slices.Chunk(secret, keySize))}, nil
}

// createKey puts a new key where there is none.
func createKey(path string) error { return place(path, random(keySize), os.Link) }

// place writes a file beside its place and then puts it there, so that no other
// process ever sees half of one.
func place(path string, content []byte, put func(from, to string) error) error {
	name := path + "." + hex.EncodeToString(random(8))
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(name) //nolint:errcheck // what was put in place is what stays
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := put(name, path); err != nil {
		return err
	}
	if d, err := os.Open(filepath.Dir(path)); err == nil {
		_ = d.Sync() // where a folder can be synced at all
		_ = d.Close()
	}
	return nil
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand, Go 1.24)
	return b
}

// Fingerprint is a keyed digest of a text in hex (HMAC-SHA256, with a key of its
// own for each purpose by HKDF, RFC 5869). Equal texts have equal fingerprints;
// without the key nothing can be tested against one.
func (k *Key) Fingerprint(purpose, text string) string {
	mac := hmac.New(sha256.New, k.derive(purpose))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

func (k *Key) derive(purpose string) []byte {
	if d, ok := k.derived.Load(purpose); ok {
		return d.([]byte)
	}
	d := expand(k.secrets[len(k.secrets)-1], "rollcall fingerprint 1: "+purpose)
	k.derived.Store(purpose, d)
	return d
}

func expand(secret []byte, info string) []byte {
	d, err := hkdf.Key(sha256.New, secret, nil, info, keySize)
	if err != nil {
		panic("seal: " + err.Error()) // only for keys longer than HKDF gives, and ours is 32 bytes
	}
	return d
}

// String keeps the key out of logs.
func (k *Key) String() string { return "seal.Key" }

// GoString keeps the key out of logs.
func (k *Key) GoString() string { return "seal.Key" }
