package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"os"

	"rollcall.dev/rollcall/internal/fault"
)

// A sealed text is one byte of format, four that name the key, and what AES-256
// in Galois/Counter Mode gives with a random nonce (NIST SP 800-38D): nonce,
// ciphertext, tag. The purpose is authenticated with it, so a text that is moved
// to another row does not open.
const (
	sealedFormat = 1
	nameSize     = 4
)

// Seal encrypts a text with the newest key. purpose says what it is and whose:
// "connection hq bind_password". A key is good for 2^32 texts, which is more than
// an installation ever seals.
func (k *Key) Seal(purpose string, plain []byte) ([]byte, error) {
	gcm, err := cipherOf(k.secrets[0])
	if err != nil {
		return nil, err
	}
	out := append([]byte{sealedFormat}, nameOf(k.secrets[0])...)
	return gcm.Seal(out, nil, plain, []byte(purpose)), nil
}

// Open decrypts what Seal gave for the same purpose. A text of a key that this
// file lacks is a fault.Conflict, one that was altered or moved a fault.Invalid.
func (k *Key) Open(purpose string, sealed []byte) ([]byte, error) {
	if len(sealed) < 1+nameSize || sealed[0] != sealedFormat {
		return nil, fault.New(fault.Invalid, "seal: %s: not a sealed text of this version", purpose)
	}
	for _, secret := range k.secrets {
		if !bytes.Equal(nameOf(secret), sealed[1:1+nameSize]) {
			continue
		}
		gcm, err := cipherOf(secret)
		if err != nil {
			return nil, err
		}
		plain, err := gcm.Open(nil, nil, sealed[1+nameSize:], []byte(purpose))
		if err != nil {
			return nil, fault.New(fault.Invalid, "seal: %s: altered, or sealed for something else", purpose).
				WithHint("give the secret again")
		}
		return plain, nil
	}
	return nil, fault.New(fault.Conflict, "seal: %s: sealed with a key that the key file of this machine does not hold", purpose).
		WithHint("copy the key file from the machine where `rollcall secrets rotate` was run, or give the secret again")
}

// Newest reports whether a text was sealed with the newest key.
func (k *Key) Newest(sealed []byte) bool {
	return len(sealed) > 1+nameSize && bytes.Equal(nameOf(k.secrets[0]), sealed[1:1+nameSize])
}

func cipherOf(secret []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(expand(secret, "rollcall seal 1"))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func nameOf(secret []byte) []byte { return expand(secret, "rollcall key name 1")[:nameSize] }

// Rotate puts a new key in front of those of a key file. Texts are sealed with it
// from then on; those sealed before still open.
func Rotate(path string) (*Key, error) {
	k, err := LoadKey(path)
	if err != nil {
		return nil, err
	}
	if len(k.secrets) == mostKeys {
		return nil, fault.New(fault.Conflict, "seal: key file %s: holds %d keys already", path, mostKeys).
			WithHint("an earlier rotation did not end; `rollcall secrets rotate` ends it")
	}
	return write(path, append([][]byte{random(keySize)}, k.secrets...))
}

// Retire takes keys out of a key file when everything is sealed with the newest.
// The one before stays, for a node that had not yet noticed and sealed something
// with it meanwhile, and the first, for fingerprints.
func Retire(path string) (*Key, error) {
	k, err := LoadKey(path)
	if err != nil || len(k.secrets) < 4 {
		return k, err
	}
	return write(path, [][]byte{k.secrets[0], k.secrets[1], k.secrets[len(k.secrets)-1]})
}

func write(path string, secrets [][]byte) (*Key, error) {
	if err := place(path, bytes.Join(secrets, nil), os.Rename); err != nil {
		return nil, fault.New(fault.Internal, "seal: write key file: %w", err).
			WithHint("its folder must be writable for the user rollcall runs as")
	}
	return LoadKey(path)
}
