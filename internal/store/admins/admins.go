// Package admins is the tables of administrators: who may use the console, their
// passwords, second factors, sessions and one-time links. It hands the console
// the administrator and the session that a request belongs to, and keeps nothing
// from which a password, a token or a code could be had again.
package admins

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base32"
	"encoding/json"
	"errors"
	"net/mail"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/seal"
	"rollcall.dev/rollcall/internal/store/db"
)

// Ring keeps secrets at rest and gives keyed digests; seal.Ring is one.
type Ring interface {
	Seal(purpose string, plain []byte) ([]byte, error)
	Open(purpose string, sealed []byte) ([]byte, error)
	Newest(sealed []byte) (bool, error)
	Fingerprint(purpose, text string) (string, error)
}

// Admins is the tables. Safe for concurrent use, also by several nodes.
type Admins struct {
	DB   *db.DB
	Ring Ring
	Now  func() time.Time // time.Now unless set
	// PublicURL is the address people reach the console under: passkeys are bound to
	// the name in it.
	PublicURL string
	// TrustedProxies are those whose X-Forwarded-For is believed; see From.
	TrustedProxies []netip.Prefix
	// SessionIdle ends a session that was not used, SessionMax any session; 12 hours
	// and 7 days unless set.
	SessionIdle, SessionMax time.Duration
	// Hash and Verify are seal's unless set: Argon2id.
	Hash   func(ctx context.Context, plain string) (string, error)
	Verify func(ctx context.Context, plain, hash string) (bool, error)
}

// Administrator is one person as shown. Nothing in it is secret.
type Administrator struct {
	ID           string
	Email        string
	Name         string
	Role         Role
	Organization string // "" for operators, and for auditors of all
	Disabled     bool
	SecondFactor bool // a code or a passkey is asked for beside the password
	TOTP         bool // an authenticator app is set up
	CreatedBy    string
	CreatedAt    time.Time
	SignedInAt   time.Time // zero: never

	password string // the hash
	step     int64  // the last one a code was taken for
	totp     []byte // sealed
}

func (s *Admins) now() time.Time {
	if s.Now == nil {
		return time.Now().UTC().Truncate(time.Microsecond)
	}
	return s.Now().UTC().Truncate(time.Microsecond)
}

func (s *Admins) hash(ctx context.Context, plain string) (string, error) {
	if s.Hash == nil {
		return seal.HashPassword(ctx, plain)
	}
	return s.Hash(ctx, plain)
}

func (s *Admins) verify(ctx context.Context, plain, hash string) (bool, error) {
	if s.Verify == nil {
		return seal.VerifyPassword(ctx, plain, hash)
	}
	return s.Verify(ctx, plain, hash)
}

var letters = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand, Go 1.24)
	return b
}

func newID(prefix string) string { return prefix + letters.EncodeToString(random(10)) }

// Actor is how events name an administrator.
func (a *Administrator) Actor() string { return "admin:" + a.Email }

// mostEmail is the longest address there is, in bytes (RFC 5321, section 4.5.3.1.3).
const mostEmail = 254

// CheckEmail gives an e-mail address as it is kept, or a fault.Invalid.
func CheckEmail(text string) (string, error) {
	bad := fault.New(fault.Invalid, "this is no e-mail address").WithHint("it looks like name@example.com")
	text = strings.TrimSpace(text)
	if len(text) > mostEmail || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }) {
		return "", bad
	}
	parsed, err := mail.ParseAddress(text)
	if err != nil || parsed.Address != text || parsed.Name != "" {
		return "", bad
	}
	return text, nil
}

// fold is an address as it is compared: whatever the case, in one Unicode form. It
// is "" for what cannot be one, which nobody has.
func fold(email string) string {
	if email = asked(email); len(email) > mostEmail {
		return ""
	}
	return norm.NFC.String(strings.ToLower(norm.NFC.String(strings.TrimSpace(email))))
}

// asked is a text a stranger looks something up by, or "" for one that is nowhere
// and that a database would choke on.
func asked(text string) string {
	if len(text) > 4*mostEmail || !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return ""
	}
	return text
}

// mostName bounds names, in bytes.
const mostName = 200

func checkName(name string) (string, error) {
	name = strings.TrimSpace(name)
	if len(name) > mostName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return "", fault.New(fault.Invalid, "the name is longer than %d bytes, or holds what cannot be shown", mostName)
	}
	return name, nil
}

const columns = `a.id, a.email, a.name, a.role, a.organization, a.disabled, a.created_by, a.created_at, a.signed_in_at, a.password, a.totp, a.totp_step,
	(SELECT count(*) FROM admin_passkeys p WHERE p.admin = a.id)`

func scan(row interface{ Scan(...any) error }, more ...any) (*Administrator, error) {
	var a Administrator
	var created, signedIn int64
	var keys int
	err := row.Scan(append([]any{&a.ID, &a.Email, &a.Name, &a.Role, &a.Organization, &a.Disabled, &a.CreatedBy, &created, &signedIn,
		&a.password, &a.totp, &a.step, &keys}, more...)...)
	a.CreatedAt, a.SignedInAt = db.Time(created), db.Time(signedIn)
	a.TOTP = len(a.totp) > 0
	a.SecondFactor = a.TOTP || keys > 0
	return &a, err
}

func one(ctx context.Context, q db.Querier, where string, args ...any) (*Administrator, error) {
	a, err := scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM admins a WHERE `+where, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNobody()
	}
	return a, db.Explain("look the administrator up", err)
}

func errNobody() error {
	return fault.New(fault.NotFound, "there is no such administrator").WithHint("`rollcall admins list` shows those there are")
}

// Get gives an administrator by ID, or by e-mail address. One that by does not see
// is a fault.NotFound.
func (s *Admins) Get(ctx context.Context, by By, who string) (*Administrator, error) {
	a, err := one(ctx, s.DB.Reader(), `a.id = $1 OR a.email_key = $2`, asked(who), fold(who))
	if err == nil && !by.sees(a) {
		return nil, errNobody()
	}
	return a, err
}

// List gives those that by sees, in the order of their addresses: those of one
// organization, or all where organization is "". after is the e-mail address the
// list goes on behind, "" to begin; limit is the most there are to be.
func (s *Admins) List(ctx context.Context, by By, organization, after string, limit int) ([]*Administrator, error) {
	if by.Admin != nil && by.Admin.Organization != "" {
		if organization != "" && organization != by.Admin.Organization {
			return nil, nil
		}
		organization = by.Admin.Organization
	}
	var out []*Administrator
	err := db.Each(ctx, s.DB.Reader(), `SELECT `+columns+` FROM admins a WHERE ($1 = '' OR a.organization = $1) AND a.email_key > $2 ORDER BY a.email_key LIMIT $3`,
		[]any{organization, fold(after), limit}, func(rows *sql.Rows) error {
			a, err := scan(rows)
			out = append(out, a)
			return err
		})
	return out, err
}

// Any reports whether there is any administrator at all.
func (s *Admins) Any(ctx context.Context) (bool, error) { return anybody(ctx, s.DB.Reader()) }

func anybody(ctx context.Context, q db.Querier) (some bool, err error) {
	err = q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM admins)`).Scan(&some)
	return some, db.Explain("look for administrators", err)
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// MarshalJSON shows an administrator: id, email, name, role, organization,
// disabled, second_factor, created_by, created_at, signed_in_at; null for what is
// not.
func (a Administrator) MarshalJSON() ([]byte, error) {
	organization := &a.Organization
	if a.Organization == "" {
		organization = nil
	}
	return json.Marshal(struct {
		ID           string     `json:"id"`
		Email        string     `json:"email"`
		Name         string     `json:"name"`
		Role         Role       `json:"role"`
		Organization *string    `json:"organization"`
		Disabled     bool       `json:"disabled"`
		SecondFactor bool       `json:"second_factor"`
		CreatedBy    string     `json:"created_by"`
		CreatedAt    time.Time  `json:"created_at"`
		SignedInAt   *time.Time `json:"signed_in_at"`
	}{a.ID, a.Email, a.Name, a.Role, organization, a.Disabled, a.SecondFactor, a.CreatedBy, a.CreatedAt, moment(a.SignedInAt)})
}
