package admins

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
)

// A ceremony (WebAuthn, section 7) is two steps. The first gives the browser a JSON
// document
//
//	{"publicKey": {...}, "state": "..."}
//
// whose publicKey is for PublicKeyCredential.parseCreationOptionsFromJSON or
// parseRequestOptionsFromJSON. The second takes
//
//	{"state": "...", "credential": {...}}
//
// with the same state and what PublicKeyCredential.toJSON gives. The state is
// sealed: nothing is kept of a ceremony that a stranger begins, and a challenge is
// answered once, within five minutes.

const (
	ceremonyFor  = 5 * time.Minute
	mostAnswer   = 64 << 10 // bytes
	mostPasskeys = 20       // of one administrator
)

// Passkey is one credential as shown.
type Passkey struct {
	ID        string // base64url
	Name      string
	CreatedAt time.Time
	UsedAt    time.Time // zero: never

	record webauthn.Credential
}

// Passkeys reports whether browsers can use passkeys with this installation: they
// do under a name, not under a network address.
func (s *Admins) Passkeys() bool {
	_, err := s.party()
	return err == nil
}

// party is us as passkeys know us: by the name in PublicURL.
func (s *Admins) party() (*webauthn.WebAuthn, error) {
	no := fault.New(fault.Invalid, "passkeys cannot be used here").WithHint("set public_url to the https:// address with the name that people type in")
	u, err := url.Parse(s.PublicURL)
	if err != nil || u.Hostname() == "" || net.ParseIP(u.Hostname()) != nil {
		return nil, no
	}
	w, err := webauthn.New(&webauthn.Config{RPID: strings.ToLower(u.Hostname()), RPDisplayName: issuer, RPOrigins: []string{u.Scheme + "://" + u.Host},
		AuthenticatorSelection: protocol.AuthenticatorSelection{ResidentKey: protocol.ResidentKeyRequirementRequired, UserVerification: protocol.VerificationRequired}})
	if err != nil {
		return nil, no
	}
	return w, nil
}

// holder is an administrator as the library asks for one.
type holder struct {
	*Administrator
	keys []*Passkey
}

// WebAuthnID and the methods below are the library's. The ID says nothing of the person.
func (h holder) WebAuthnID() []byte { return []byte(h.ID) }

// WebAuthnName is what the browser lists a passkey under.
func (h holder) WebAuthnName() string { return h.Email }

// WebAuthnDisplayName is the person's name.
func (h holder) WebAuthnDisplayName() string {
	if h.Name != "" {
		return h.Name
	}
	return h.Email
}

// WebAuthnCredentials gives those there are.
func (h holder) WebAuthnCredentials() []webauthn.Credential {
	out := make([]webauthn.Credential, len(h.keys))
	for i, k := range h.keys {
		out[i] = k.record
	}
	return out
}

// ListPasskeys gives the passkeys of an administrator, the oldest first.
func (s *Admins) ListPasskeys(ctx context.Context, admin string) ([]*Passkey, error) {
	return passkeys(ctx, s.DB.Reader(), asked(admin))
}

func passkeys(ctx context.Context, q db.Querier, admin string) ([]*Passkey, error) {
	var out []*Passkey
	err := db.Each(ctx, q, `SELECT id, name, record, created_at, used_at FROM admin_passkeys WHERE admin = $1 ORDER BY created_at, id`, []any{admin}, func(rows *sql.Rows) error {
		var k Passkey
		var id []byte
		var record string
		var created, used int64
		if err := rows.Scan(&id, &k.Name, &record, &created, &used); err != nil {
			return err
		}
		k.ID, k.CreatedAt, k.UsedAt = base64.RawURLEncoding.EncodeToString(id), db.Time(created), db.Time(used)
		out = append(out, &k)
		return json.Unmarshal([]byte(record), &k.record)
	})
	return out, err
}

// state is what goes to the browser and back.
type state struct {
	Data webauthn.SessionData
	Ends time.Time
}

func ceremony(purpose string) string { return "administrator passkey " + purpose }

// begun is the document of a first step.
func (s *Admins) begun(purpose string, options any, data *webauthn.SessionData) ([]byte, error) {
	plain, err := json.Marshal(state{*data, s.now().Add(ceremonyFor)})
	if err != nil {
		return nil, err
	}
	sealed, err := s.Ring.Seal(ceremony(purpose), plain)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		PublicKey any    `json:"publicKey"`
		State     string `json:"state"`
	}{options, base64.RawURLEncoding.EncodeToString(sealed)})
}

func errPasskey() error {
	return fault.New(fault.Denied, "this passkey did not work").WithHint("begin again; a passkey is asked for within five minutes, on the address it was made for")
}

// answered reads the document of a second step.
func (s *Admins) answered(purpose string, answer []byte) (*state, []byte, error) {
	var in struct {
		State      string          `json:"state"`
		Credential json.RawMessage `json:"credential"`
	}
	if len(answer) > mostAnswer || json.Unmarshal(answer, &in) != nil {
		return nil, nil, errPasskey()
	}
	sealed, err := base64.RawURLEncoding.DecodeString(in.State)
	if err != nil {
		return nil, nil, errPasskey()
	}
	plain, err := s.Ring.Open(ceremony(purpose), sealed)
	if err != nil {
		return nil, nil, errPasskey()
	}
	var was state
	if json.Unmarshal(plain, &was) != nil || !was.Ends.After(s.now()) {
		return nil, nil, errPasskey()
	}
	return &was, in.Credential, nil
}

// once notes that a challenge was answered.
func (s *Admins) once(ctx context.Context, tx *db.Tx, was *state) error {
	if _, err := tx.Exec(ctx, `DELETE FROM admin_challenges WHERE expires_at <= $1`, db.Micros(s.now())); err != nil {
		return err
	}
	n, err := tx.Exec(ctx, `INSERT INTO admin_challenges (hash, expires_at) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING`, digest(was.Data.Challenge), db.Micros(was.Ends))
	if err == nil && n == 0 {
		return errPasskey()
	}
	return err
}

// OfferPasskey begins the making of a passkey. The session has to be Fresh.
func (s *Admins) OfferPasskey(ctx context.Context, session *Session) ([]byte, error) {
	if err := s.mustBeFresh(session); err != nil {
		return nil, err
	}
	w, err := s.party()
	if err != nil {
		return nil, err
	}
	a, err := one(ctx, s.DB.Reader(), `a.id = $1`, session.Admin)
	if err != nil {
		return nil, err
	}
	h := holder{Administrator: a}
	if h.keys, err = passkeys(ctx, s.DB.Reader(), a.ID); err != nil {
		return nil, err
	}
	if len(h.keys) >= mostPasskeys {
		return nil, fault.New(fault.Conflict, "there are %d passkeys already", len(h.keys)).WithHint("remove one that is not used")
	}
	creation, data, err := w.BeginRegistration(h, webauthn.WithExclusions(webauthn.Credentials(h.WebAuthnCredentials()).CredentialDescriptors()))
	if err != nil {
		return nil, fault.New(fault.Internal, "begin a passkey: %w", err)
	}
	return s.begun("make "+session.ID, creation.Response, data)
}

// AcceptPasskey ends what OfferPasskey began and keeps the passkey under a name.
// Where there are no recovery codes yet it gives ten, shown once. The
// administrator's other sessions end. What does not fit is a fault.Denied.
func (s *Admins) AcceptPasskey(ctx context.Context, session *Session, name string, answer []byte) (recovery []string, err error) {
	if err := s.mustBeFresh(session); err != nil {
		return nil, err
	}
	if name, err = checkName(name); err != nil {
		return nil, err
	}
	w, err := s.party()
	if err != nil {
		return nil, err
	}
	was, credential, err := s.answered("make "+session.ID, answer)
	if err != nil {
		return nil, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(credential)
	if err != nil {
		return nil, errPasskey()
	}
	made, err := w.CreateCredential(holder{Administrator: &Administrator{ID: session.Admin}}, was.Data, parsed)
	if err != nil {
		return nil, errPasskey()
	}
	made.Attestation = webauthn.CredentialAttestation{} // none was asked for, none is kept
	record, err := json.Marshal(made)
	if err != nil {
		return nil, err
	}
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		a, err := s.own(ctx, tx, session)
		if err != nil {
			return err
		}
		if err := s.once(ctx, tx, was); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `INSERT INTO admin_passkeys (id, admin, name, record, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING`,
			made.ID, a.ID, name, string(record), db.Micros(s.now()))
		if err != nil {
			return err
		}
		if n == 0 {
			return errPasskey()
		}
		there, err := left(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		if there == 0 {
			if recovery, err = renew(ctx, tx, a.ID); err != nil {
				return err
			}
		}
		return s.factorChanged(ctx, tx, a, a.Actor(), "passkey added", session.ID)
	})
	if err != nil {
		return nil, err
	}
	return recovery, nil
}

// RemovePasskey takes one of the administrator's own passkeys away. The session has
// to be Fresh; the others end.
func (s *Admins) RemovePasskey(ctx context.Context, session *Session, id string) error {
	if err := s.mustBeFresh(session); err != nil {
		return err
	}
	raw, err := base64.RawURLEncoding.DecodeString(id)
	missing := fault.New(fault.NotFound, "there is no such passkey").WithHint("it may have been removed already")
	if err != nil {
		return missing
	}
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		a, err := s.own(ctx, tx, session)
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `DELETE FROM admin_passkeys WHERE admin = $1 AND id = $2`, a.ID, raw)
		if err != nil {
			return err
		}
		if n == 0 {
			return missing
		}
		if err := withoutFactor(ctx, tx, a.ID); err != nil {
			return err
		}
		return s.factorChanged(ctx, tx, a, a.Actor(), "passkey removed", session.ID)
	})
}

// withoutFactor takes recovery codes away that stand for nothing any more.
func withoutFactor(ctx context.Context, tx *db.Tx, admin string) error {
	_, err := tx.Exec(ctx, `DELETE FROM admin_codes WHERE admin = $1 AND NOT EXISTS (SELECT 1 FROM admins a WHERE a.id = $2 AND a.totp IS NOT NULL)
		AND NOT EXISTS (SELECT 1 FROM admin_passkeys p WHERE p.admin = $3)`, admin, admin, admin)
	return err
}

// AskPasskey begins a sign-in, or a confirmation, with whatever passkey the browser
// has for us.
func (s *Admins) AskPasskey() ([]byte, error) {
	w, err := s.party()
	if err != nil {
		return nil, err
	}
	assertion, data, err := w.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return nil, fault.New(fault.Internal, "ask for a passkey: %w", err)
	}
	return s.begun("ask", assertion.Response, data)
}

// proved is a passkey that answered as it should.
type proved struct {
	admin  *Administrator
	was    *state
	record *webauthn.Credential
}

// prove checks an answer. a is whose passkey it says to be, where there is one,
// also beside an error.
func (s *Admins) prove(ctx context.Context, answer []byte) (p *proved, a *Administrator, err error) {
	w, err := s.party()
	if err != nil {
		return nil, nil, err
	}
	was, credential, err := s.answered("ask", answer)
	if err != nil {
		return nil, nil, err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(credential)
	if err != nil {
		return nil, nil, errPasskey()
	}
	a, err = one(ctx, s.DB.Reader(), `a.id = $1`, asked(string(parsed.Response.UserHandle)))
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return nil, nil, errPasskey()
	}
	if err != nil {
		return nil, nil, err
	}
	h := holder{Administrator: a}
	if h.keys, err = passkeys(ctx, s.DB.Reader(), a.ID); err != nil {
		return nil, nil, err
	}
	_, record, err := w.ValidatePasskeyLogin(func(_, _ []byte) (webauthn.User, error) { return h, nil }, was.Data, parsed)
	// A count that did not grow says that somebody has a copy of the key.
	if err != nil || record.Authenticator.CloneWarning || a.Disabled {
		return nil, a, errPasskey()
	}
	return &proved{a, was, record}, a, nil
}

// use notes that a passkey was used, in the transaction of what it is used for.
func (p *proved) use(ctx context.Context, s *Admins, tx *db.Tx) (*Administrator, error) {
	if err := events.Lock(ctx, tx); err != nil {
		return nil, err
	}
	if err := s.once(ctx, tx, p.was); err != nil {
		return nil, err
	}
	a, err := one(ctx, tx, `a.id = $1`+tx.Locked(), p.admin.ID)
	if fault.KindOf(err) == fault.NotFound && err != nil || err == nil && a.Disabled {
		return nil, errPasskey()
	}
	if err != nil {
		return nil, err
	}
	record, err := json.Marshal(p.record)
	if err != nil {
		return nil, err
	}
	n, err := tx.Exec(ctx, `UPDATE admin_passkeys SET record = $3, used_at = $4 WHERE id = $1 AND admin = $2`, p.record.ID, a.ID, string(record), db.Micros(s.now()))
	if err == nil && n == 0 {
		return nil, errPasskey() // removed a moment ago
	}
	return a, err
}

// SignInWithPasskey ends what AskPasskey began and gives a session: a passkey with
// user verification is both factors. It is also how a pending session is left. What
// does not fit is a fault.Denied.
func (s *Admins) SignInWithPasskey(ctx context.Context, answer []byte, from netip.Addr, agent string) (*Session, error) {
	p, a, err := s.prove(ctx, answer)
	if err != nil {
		return nil, s.refusedPasskey(ctx, a, from, agent, err)
	}
	counters, err := s.countedFor("email", fold(a.Email), from, false)
	if err != nil {
		return nil, err
	}
	var session *Session
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		a, err := p.use(ctx, s, tx)
		if err != nil {
			return err
		}
		session, err = s.enter(ctx, tx, a, counters[:1], from, agent, "passkey")
		return err
	})
	if err != nil {
		return nil, err
	}
	return session, nil
}

// refusedPasskey tells of a passkey that did not work, once a minute.
func (s *Admins) refusedPasskey(ctx context.Context, a *Administrator, from netip.Addr, agent string, err error) error {
	if a == nil {
		return err
	}
	counters, cerr := s.countedFor("passkey", a.ID, netip.Addr{}, false)
	if cerr != nil {
		return cerr
	}
	if cerr := s.begin(ctx, counters); cerr != nil {
		if _, many := Waits(cerr); !many {
			return cerr
		}
	}
	if cerr := s.failed(ctx, a, counters[0], from, agent, "passkey"); cerr != nil {
		return cerr
	}
	return err
}

// ConfirmWithPasskey makes a session Fresh again, as Confirm does, by what
// AskPasskey began.
func (s *Admins) ConfirmWithPasskey(ctx context.Context, token string, answer []byte) error {
	x, me, err := s.lookUp(ctx, token)
	if err != nil {
		return err
	}
	p, a, err := s.prove(ctx, answer)
	if err != nil {
		return err
	}
	if x.Pending || a.ID != me.ID {
		return errPasskey()
	}
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		if _, err := p.use(ctx, s, tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE admin_sessions SET confirmed_at = $2 WHERE id = $1`, x.ID, db.Micros(s.now()))
		return err
	})
}
