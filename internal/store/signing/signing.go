// Package signing is the table of keys that tokens are signed with. It hands the
// key of the hour to whoever signs, and the public halves of all that may still be
// met to whoever checks. Keys take turns by themselves: the next one is published
// before it is used, and the one before stays for as long as tokens live that it
// signed. All nodes share them. The private half is sealed with the installation's
// key, and erased when it signs no more.
package signing

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
)

// Ring keeps secrets at rest; seal.Ring is one.
type Ring interface {
	Seal(purpose string, plain []byte) ([]byte, error)
	Open(purpose string, sealed []byte) ([]byte, error)
	Newest(sealed []byte) (bool, error)
}

// Algorithms there are keys for.
var Algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256}

// How keys take turns.
const (
	Turn = 90 * 24 * time.Hour // a key signs for so long
	// Ahead is how long the next key is published before it signs: longer than
	// applications keep what they read.
	Ahead = 7 * 24 * time.Hour
	// Published is how long a key stays published after it signed last: longer than any
	// token lives.
	Published = 25 * time.Hour
	// Kept is how long it is known to us after that: an ID token is taken as a hint of
	// who signs out long after it ran out.
	Kept = 400 * 24 * time.Hour
	// stale is how old a node's picture of the keys may be. The others look ahead far
	// longer.
	stale = time.Minute
)

// rsaBits of keys for RS256 (RFC 7518, section 3.3: 2048 at least).
const rsaBits = 2048

// Keys is the table. Safe for concurrent use.
type Keys struct {
	DB   *db.DB
	Ring Ring
	Now  func() time.Time // time.Now unless set

	mu   sync.Mutex
	have []*key
	read time.Time
	open map[string]jose.Signer // by ID and type, see Sign
}

type key struct {
	id        string
	algorithm jose.SignatureAlgorithm
	public    jose.JSONWebKey
	sealed    []byte // nil when it signs no more
	created   time.Time
	active    time.Time // signs from then on
	until     time.Time // and until then, when the next one does; zero: there is none yet
}

func (s *Keys) now() time.Time {
	if s.Now == nil {
		return time.Now().UTC().Truncate(time.Microsecond)
	}
	return s.Now().UTC().Truncate(time.Microsecond)
}

func purpose(id string) string { return "signing key " + id }

// generate gives a new key with its private half sealed.
func (s *Keys) generate(algorithm jose.SignatureAlgorithm) (*key, error) {
	var private crypto.Signer
	var err error
	if algorithm == jose.ES256 {
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		private, err = rsa.GenerateKey(rand.Reader, rsaBits)
	}
	if err != nil {
		return nil, fault.New(fault.Internal, "make a signing key: %w", err)
	}
	k := &key{algorithm: algorithm, public: jose.JSONWebKey{Key: private.Public(), Algorithm: string(algorithm), Use: "sig"}}
	thumb, err := k.public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fault.New(fault.Internal, "make a signing key: %w", err)
	}
	k.id = base64.RawURLEncoding.EncodeToString(thumb)
	k.public.KeyID = k.id
	plain, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fault.New(fault.Internal, "make a signing key: %w", err)
	}
	k.sealed, err = s.Ring.Seal(purpose(k.id), plain)
	return k, err
}

// load reads the keys, those that began to sign first, first.
func load(ctx context.Context, q db.Querier) (list []*key, err error) {
	err = db.Each(ctx, q, `SELECT id, algorithm, public, private, created_at, active_at FROM signing_keys ORDER BY active_at, id`, nil, func(rows *sql.Rows) error {
		k := &key{}
		var public string
		var created, active int64
		if err := rows.Scan(&k.id, &k.algorithm, &public, &k.sealed, &created, &active); err != nil {
			return err
		}
		k.created, k.active = db.Time(created), db.Time(active)
		if err := json.Unmarshal([]byte(public), &k.public); err != nil {
			return fault.New(fault.Internal, "signing key %s: %w", k.id, err)
		}
		if i := slices.IndexFunc(list, func(x *key) bool { return x.algorithm == k.algorithm && x.until.IsZero() }); i >= 0 {
			list[i].until = k.active
		}
		list = append(list, k)
		return nil
	})
	return list, err
}

// current is the key that signs now, nil where there is none.
func current(list []*key, algorithm jose.SignatureAlgorithm, now time.Time) (found *key) {
	for _, k := range list {
		if k.algorithm == algorithm && !k.active.After(now) {
			found = k
		}
	}
	return found
}

// due says when a key has to be made for an algorithm, and from when on it signs;
// the zero time stands for none.
func due(list []*key, algorithm jose.SignatureAlgorithm, now time.Time) time.Time {
	var last *key
	for _, k := range list {
		if k.algorithm == algorithm {
			last = k
		}
	}
	switch {
	case last == nil:
		return now
	case last.active.Add(Turn - Ahead).After(now):
		return time.Time{}
	}
	// Nobody may have looked for months: the next one is published first all the same.
	from := last.active.Add(Turn)
	if earliest := now.Add(Ahead); from.Before(earliest) {
		from = earliest
	}
	return from
}

// keys gives the keys as they are, having made those whose time has come.
func (s *Keys) keys(ctx context.Context) ([]*key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.have != nil && now.Sub(s.read) < stale && !now.Before(s.read) {
		return s.have, nil
	}
	list, err := load(ctx, s.DB.Reader())
	if err != nil {
		return nil, err
	}
	var wanted []jose.SignatureAlgorithm
	for _, a := range Algorithms {
		if !due(list, a, now).IsZero() {
			wanted = append(wanted, a)
		}
	}
	if len(wanted) > 0 || spent(list, now) {
		if list, err = s.turn(ctx, wanted, now); err != nil {
			return nil, err
		}
	}
	s.have, s.read = list, now
	return list, nil
}

// spent reports whether a key is to be erased.
func spent(list []*key, now time.Time) bool {
	return slices.ContainsFunc(list, func(k *key) bool { return k.over(now) && k.sealed != nil || k.forgotten(now) })
}

// over reports whether a key signs no more, on no node that is a little behind.
func (k *key) over(now time.Time) bool {
	return !k.until.IsZero() && now.After(k.until.Add(time.Hour))
}

func (k *key) forgotten(now time.Time) bool {
	return !k.until.IsZero() && now.After(k.until.Add(Kept))
}

// turn makes keys that are due, erases what is spent, and gives what there is then.
// Of nodes that do it at once, the second finds it done.
func (s *Keys) turn(ctx context.Context, wanted []jose.SignatureAlgorithm, now time.Time) (list []*key, err error) {
	made := map[jose.SignatureAlgorithm]*key{}
	for _, a := range wanted { // before the lock: an RSA key takes a while
		if made[a], err = s.generate(a); err != nil {
			return nil, err
		}
	}
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE counters SET value = value WHERE name = 'signing'`); err != nil {
			return err
		}
		if list, err = load(ctx, tx); err != nil {
			return err
		}
		for _, a := range wanted {
			from := due(list, a, now)
			if from.IsZero() {
				continue
			}
			if err := insert(ctx, tx, made[a], now, from); err != nil {
				return err
			}
		}
		for _, k := range list {
			if k.forgotten(now) {
				_, err = tx.Exec(ctx, `DELETE FROM signing_keys WHERE id = $1`, k.id)
			} else if k.over(now) && k.sealed != nil {
				_, err = tx.Exec(ctx, `UPDATE signing_keys SET private = NULL WHERE id = $1`, k.id)
			}
			if err != nil {
				return err
			}
		}
		list, err = load(ctx, tx)
		return err
	})
	return list, err
}

func insert(ctx context.Context, tx *db.Tx, k *key, now, from time.Time) error {
	public, err := json.Marshal(k.public)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO signing_keys (id, algorithm, public, private, created_at, active_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		k.id, string(k.algorithm), string(public), k.sealed, db.Micros(now), db.Micros(from))
	return err
}

// Rotate makes new keys that sign from now on, for when one may have become known
// or cannot be opened any more. With forget, the ones before are forgotten at once:
// nothing they signed is believed any more. Without, they take their leave in order.
func (s *Keys) Rotate(ctx context.Context, forget bool, actor string) error {
	made := make([]*key, len(Algorithms))
	var err error
	for i, a := range Algorithms {
		if made[i], err = s.generate(a); err != nil {
			return err
		}
	}
	now := s.now()
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE counters SET value = value WHERE name = 'signing'`); err != nil {
			return err
		}
		// What was to come next may be known as well.
		gone, args := `DELETE FROM signing_keys WHERE active_at > $1`, []any{db.Micros(now)}
		if forget {
			gone, args = `DELETE FROM signing_keys`, nil
		}
		if _, err := tx.Exec(ctx, gone, args...); err != nil {
			return err
		}
		// Of two of one moment it would be left to their IDs which one signs.
		if _, err := tx.Exec(ctx, `UPDATE signing_keys SET active_at = active_at - 1 WHERE active_at = $1`, db.Micros(now)); err != nil {
			return err
		}
		for _, k := range made {
			if err := insert(ctx, tx, k, now, now); err != nil {
				return err
			}
		}
		why := "tokens are signed with new keys"
		if forget {
			why += ", and nothing is believed any more that those before signed"
		}
		return events.Append(ctx, tx, []event.Event{{Type: event.SigningKeysRotated, At: now, Actor: actor, Why: why}})
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.have, s.open = nil, nil
	return err
}

// Published gives the keys that applications may meet, in the form they read.
func (s *Keys) Published(ctx context.Context) (jose.JSONWebKeySet, error) {
	list, err := s.keys(ctx)
	now := s.now()
	out := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range list {
		if k.until.IsZero() || !now.After(k.until.Add(Published)) {
			out.Keys = append(out.Keys, k.public)
		}
	}
	return out, err
}

// Key gives the public half of a key by its ID, also of one that signed long ago;
// nil where there is none.
func (s *Keys) Key(ctx context.Context, id string) (*jose.JSONWebKey, error) {
	for range 2 {
		list, err := s.keys(ctx)
		if err != nil {
			return nil, err
		}
		for _, k := range list {
			if k.id == id {
				return &k.public, nil
			}
		}
		if !s.doubt() {
			break
		}
	}
	return nil, nil
}

// doubt has the keys read again, where that was not done a moment ago: another node
// may have made one that signs at once.
func (s *Keys) doubt() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now().Sub(s.read) < 5*time.Second {
		return false
	}
	s.have = nil
	return true
}

// Sign signs a payload as a JWT of a type ("JWT", "at+jwt") by the key of the hour.
func (s *Keys) Sign(ctx context.Context, algorithm jose.SignatureAlgorithm, kind string, payload []byte) (string, error) {
	list, err := s.keys(ctx)
	if err != nil {
		return "", err
	}
	k := current(list, algorithm, s.now())
	if k == nil {
		return "", fault.New(fault.Internal, "there is no key for %s", algorithm)
	}
	signer, err := s.signer(k, kind)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fault.New(fault.Internal, "sign a token: %w", err)
	}
	return signed.CompactSerialize()
}

// signer opens a key, once for each type of token.
func (s *Keys) signer(k *key, kind string) (jose.Signer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := k.id + " " + kind
	if known := s.open[name]; known != nil {
		return known, nil
	}
	plain, err := s.Ring.Open(purpose(k.id), k.sealed)
	if err != nil {
		return nil, fault.New(fault.Internal, "the key that signs tokens does not open: %w", err).
			WithHint("restore the key file, or run `rollcall clients rotate-keys`, which makes new ones")
	}
	private, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return nil, fault.New(fault.Internal, "the key that signs tokens cannot be read: %w", err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: k.algorithm, Key: jose.JSONWebKey{Key: private, KeyID: k.id, Algorithm: string(k.algorithm)}},
		(&jose.SignerOptions{}).WithType(jose.ContentType(kind)))
	if err != nil {
		return nil, fault.New(fault.Internal, "sign a token: %w", err)
	}
	if s.open == nil || len(s.open) > 100 {
		s.open = map[string]jose.Signer{}
	}
	s.open[name] = signer
	return signer, nil
}

// Reseal seals every private half with the newest key of the ring. It gives how many
// it was, and names those that do not open any more.
func (s *Keys) Reseal(ctx context.Context, tx *db.Tx) (done int, lost []string, err error) {
	list, err := load(ctx, tx)
	if err != nil {
		return 0, nil, err
	}
	for _, k := range list {
		if k.sealed == nil {
			continue
		}
		newest, err := s.Ring.Newest(k.sealed)
		if err != nil {
			return done, lost, err
		}
		if newest {
			continue
		}
		plain, err := s.Ring.Open(purpose(k.id), k.sealed)
		if err != nil {
			lost = append(lost, purpose(k.id))
			continue
		}
		sealed, err := s.Ring.Seal(purpose(k.id), plain)
		if err != nil {
			return done, lost, err
		}
		if _, err := tx.Exec(ctx, `UPDATE signing_keys SET private = $2 WHERE id = $1`, k.id, sealed); err != nil {
			return done, lost, err
		}
		done++
	}
	return done, lost, nil
}
