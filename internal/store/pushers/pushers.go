// Package pushers is the tables of who pushes: the credentials by which the SCIM
// client of an identity provider (Entra ID, Okta) reaches one connection, and the
// log of what it sent. It hands on to the endpoint that takes pushes whom a secret
// belongs to, and to the API and the console what there is to be shown. Of no
// secret is anything kept from which it could be had again.
package pushers

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
)

// Pushers is the tables. It is safe for concurrent use.
type Pushers struct {
	DB *db.DB
	// Known gives the organization of a connection that takes pushes: a fault.NotFound
	// where there is none of that alias, a fault.Conflict where it is of another kind.
	Known func(ctx context.Context, alias string) (organization string, err error)
	Now   func() time.Time // time.Now unless set

	mu      sync.Mutex
	waiting map[string][]Exchange // by connection, oldest first: what Flush writes
	refused map[string]time.Time  // when one was logged of a connection that was not let in
}

// Kind is how a client proves who it is.
type Kind string

// The kinds.
const (
	Bearer Kind = "bearer" // a token that it sends with every request (RFC 6750)
	OAuth  Kind = "oauth"  // client ID and secret, with which it gets access tokens (RFC 6749, section 4.4)
)

// Token is one secret, without it. ID is how the secret begins, so that whoever
// holds one finds it in the list.
type Token struct {
	ID           string
	Connection   string
	Organization string // of the connection when it was made
	Kind         Kind
	ClientID     string // of OAuth; the same for all secrets of a connection
	Name         string
	CreatedBy    string
	CreatedAt    time.Time
	ExpiresAt    time.Time // zero: never
	ReplacedAt   time.Time // when another one took its place; ExpiresAt is then the end of the overlap
	LastUsedAt   time.Time // to the minute; zero: never
	RevokedAt    time.Time
	RevokedBy    string
}

// Valid reports whether a token still opens the door.
func (t *Token) Valid(now time.Time) bool {
	return t.RevokedAt.IsZero() && (t.ExpiresAt.IsZero() || t.ExpiresAt.After(now))
}

// Secrets are a prefix that says what they are and 32 random bytes in base64url: 47
// characters. Entra ID refuses to save much longer ones. The first characters are
// the ID, and more than 180 bits are left that nobody is shown again.
const (
	bearerPrefix = "rcp_"
	secretPrefix = "rco_"
	accessPrefix = "rca_"
	clientPrefix = "rcc_"
	random       = 32
	length       = 4 + 43
	idLength     = 4 + 12
)

// What the tables hold to.
const (
	// Life is how long a token is good unless somebody says how long.
	Life = 365 * 24 * time.Hour
	// Overlap is how long the token before stays good when another takes its place.
	Overlap = 24 * time.Hour
	// AccessLife is how long an access token is good. Entra ID asks for an hour at least.
	AccessLife = time.Hour
	// MostValid is how many tokens of a kind a connection has at a time: two, so that
	// one can be changed for the other without a gap.
	MostValid = 2

	mostShown   = 20 // tokens that ended already
	mostAccess  = 100
	longestName = 100
)

// Never is an expiry that does not come.
func Never() *time.Time { return &time.Time{} }

func newSecret(prefix string) string {
	b := make([]byte, random)
	_, _ = rand.Read(b) // never fails (crypto/rand, Go 1.24)
	return prefix + base64.RawURLEncoding.EncodeToString(b)
}

// digest is what is kept of a secret. It is quick on purpose, see package keys:
// nobody guesses 180 bits, and every request has to be checked.
func digest(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

func (s *Pushers) now() time.Time {
	if s.Now == nil {
		return time.Now().UTC().Truncate(time.Microsecond)
	}
	return s.Now().UTC().Truncate(time.Microsecond)
}

func (s *Pushers) organization(ctx context.Context, connection string) (string, error) {
	if s.Known == nil {
		return "", fault.New(fault.Internal, "pushers: nobody knows connections here")
	}
	return s.Known(ctx, connection)
}
