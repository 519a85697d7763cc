package seal

import (
	"context"
	"encoding/hex"
	"sync"

	"rollcall.dev/rollcall/internal/fault"
)

// Ring is the key file in use: it is opened, and made, when the first secret has
// to be kept, and read again when a text was sealed with a key that is new to it.
// Safe for concurrent use.
type Ring struct {
	Path string
	mu   sync.Mutex
	key  *Key
}

func (r *Ring) current() (*Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.key != nil {
		return r.key, nil
	}
	var err error
	r.key, err = LoadKey(r.Path)
	return r.key, err
}

func (r *Ring) reload() (*Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k, err := LoadKey(r.Path)
	if err == nil {
		r.key = k
	}
	return k, err
}

// Fingerprint is Key.Fingerprint.
func (r *Ring) Fingerprint(purpose, text string) (string, error) {
	k, err := r.current()
	if err != nil {
		return "", err
	}
	return k.Fingerprint(purpose, text), nil
}

// Keyed is Fingerprint as its 32 bytes.
func (r *Ring) Keyed(purpose, text string) ([]byte, error) {
	f, err := r.Fingerprint(purpose, text)
	if err != nil {
		return nil, err
	}
	return hex.DecodeString(f)
}

// HashSalted is the package's, here for whoever takes both.
func (r *Ring) HashSalted(ctx context.Context, plain, salt string) (string, error) {
	return HashSalted(ctx, plain, salt)
}

// Seal is Key.Seal.
func (r *Ring) Seal(purpose string, plain []byte) ([]byte, error) {
	k, err := r.current()
	if err != nil {
		return nil, err
	}
	return k.Seal(purpose, plain)
}

// Open is Key.Open; where the key is not known the file is read again first.
func (r *Ring) Open(purpose string, sealed []byte) ([]byte, error) {
	k, err := r.current()
	if err != nil {
		return nil, err
	}
	plain, err := k.Open(purpose, sealed)
	if fault.KindOf(err) != fault.Conflict {
		return plain, err
	}
	if k, err = r.reload(); err != nil {
		return nil, err
	}
	return k.Open(purpose, sealed)
}

// Newest is Key.Newest.
func (r *Ring) Newest(sealed []byte) (bool, error) {
	k, err := r.current()
	return err == nil && k.Newest(sealed), err
}

// Rotate puts a new key in front, and seals with it from then on.
func (r *Ring) Rotate() error { return r.with(Rotate) }

// Retire lets go of the keys that nothing is sealed with any more.
func (r *Ring) Retire() error { return r.with(Retire) }

func (r *Ring) with(change func(string) (*Key, error)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	k, err := change(r.Path)
	if err == nil {
		r.key = k
	}
	return err
}
