package seal

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"

	"rollcall.dev/rollcall/internal/fault"
)

// The cost of a new hash: OWASP's least for Argon2id, RFC 9106.
const (
	memory  = 19456 // KiB
	passes  = 2
	lanes   = 1
	saltLen = 16
	hashLen = 32
)

// maxPassword bounds what a stranger can make us hash, in bytes.
const maxPassword = 1024

// hashing lets two hashes be computed at a time: each holds 19 MiB, and sign-in
// must not become a way to fill memory.
var hashing = make(chan struct{}, 2)

// HashPassword gives the Argon2id hash of a password in PHC string form. It
// waits for its turn, at most as long as ctx. Empty passwords, ones with a NUL
// and ones beyond 1,024 bytes are a fault.Invalid.
func HashPassword(ctx context.Context, plain string) (string, error) {
	if err := checkPassword(plain); err != nil {
		return "", err
	}
	return hashWith(ctx, plain, random(saltLen))
}

// HashSalted is HashPassword with a salt made of a text that nobody guesses, such as
// a keyed fingerprint: the same password and text give the same hash.
func HashSalted(ctx context.Context, plain, salt string) (string, error) {
	if err := checkPassword(plain); err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte("rollcall password salt\x00" + salt))
	return hashWith(ctx, plain, sum[:saltLen])
}

func hashWith(ctx context.Context, plain string, salt []byte) (string, error) {
	sum, err := compute(ctx, plain, salt, params{memory, passes, lanes}, hashLen)
	if err != nil {
		return "", err
	}
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memory, passes, lanes,
		enc.EncodeToString(salt), enc.EncodeToString(sum)), nil
}

// VerifyPassword reports whether a password belongs to a hash that HashPassword
// made. A hash that cannot be read is an error; a password that could never have
// been hashed just does not belong.
func VerifyPassword(ctx context.Context, plain, hash string) (bool, error) {
	if checkPassword(plain) != nil {
		return false, nil
	}
	p, salt, want, err := parseHash(hash)
	if err != nil {
		return false, err
	}
	got, err := compute(ctx, plain, salt, p, len(want))
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

type params struct{ memory, passes, lanes uint32 }

func compute(ctx context.Context, plain string, salt []byte, p params, size int) ([]byte, error) {
	select {
	case hashing <- struct{}{}:
	default:
		select {
		case hashing <- struct{}{}:
		case <-ctx.Done():
			return nil, fault.New(fault.Unavailable, "seal: wait to hash a password: %w", context.Cause(ctx))
		}
	}
	defer func() { <-hashing }()
	return argon2.IDKey([]byte(plain), salt, p.passes, p.memory, uint8(p.lanes), uint32(size)), nil
}

func checkPassword(plain string) error {
	switch {
	case plain == "":
		return fault.New(fault.Invalid, "seal: the password is empty")
	case strings.IndexByte(plain, 0) >= 0:
		return fault.New(fault.Invalid, "seal: the password contains a NUL")
	case len(plain) > maxPassword:
		return fault.New(fault.Invalid, "seal: the password is longer than %d bytes", maxPassword)
	}
	return nil
}

// parseHash reads "$argon2id$v=19$m=..,t=..,p=..$salt$hash". Costs far beyond
// ours are refused: a stored hash must not be able to stop the server.
func parseHash(hash string) (p params, salt, sum []byte, err error) {
	bad := fault.New(fault.Internal, "seal: a stored password hash is damaged").
		WithHint("set the account's password again")
	f := strings.Split(hash, "$")
	if len(f) != 6 || f[0] != "" || f[1] != "argon2id" || f[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, nil, nil, bad
	}
	if _, err := fmt.Sscanf(f[3], "m=%d,t=%d,p=%d", &p.memory, &p.passes, &p.lanes); err != nil ||
		f[3] != fmt.Sprintf("m=%d,t=%d,p=%d", p.memory, p.passes, p.lanes) {
		return p, nil, nil, bad
	}
	salt, serr := base64.RawStdEncoding.DecodeString(f[4])
	sum, herr := base64.RawStdEncoding.DecodeString(f[5])
	if serr != nil || herr != nil || len(salt) < 8 || len(salt) > 64 || len(sum) < 16 || len(sum) > 64 ||
		p.memory < 8 || p.memory > 1<<18 || p.passes < 1 || p.passes > 10 || p.lanes < 1 || p.lanes > 8 {
		return p, nil, nil, bad
	}
	return p, salt, sum, nil
}
