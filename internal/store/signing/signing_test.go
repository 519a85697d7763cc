package signing_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/seal"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/signing"
)

func TestMain(m *testing.M) { os.Exit(databases.Main(m)) }

// house is a database with a clock, and as many nodes as are asked for.
type house struct {
	*testing.T
	db    *db.DB
	ring  *seal.Ring
	clock time.Time
}

func both(t *testing.T, fn func(h *house)) {
	t.Helper()
	open := func(t *testing.T, dsn string) {
		t.Helper()
		d := databases.Open(t, dsn)
		fn(&house{T: t, db: d, clock: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC), ring: &seal.Ring{Path: filepath.Join(t.TempDir(), "key")}})
	}
	t.Run("SQLite", func(t *testing.T) { open(t, databases.SQLite(t)) })
	t.Run("PostgreSQL", func(t *testing.T) {
		dsn := databases.PostgreSQL(t)
		open(t, dsn)
	})
}

func (h *house) node() *signing.Keys {
	return &signing.Keys{DB: h.db, Ring: h.ring, Now: func() time.Time { return h.clock }}
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// sign gives a token and the ID of its key.
func (h *house) sign(k *signing.Keys, a jose.SignatureAlgorithm) (token, id string) {
	h.Helper()
	token, err := k.Sign(h.Context(), a, "JWT", []byte(`{"x":1}`))
	h.must(err)
	parsed, err := jose.ParseSignedCompact(token, signing.Algorithms)
	h.must(err)
	return token, parsed.Signatures[0].Header.KeyID
}

// published gives the IDs for an algorithm.
func (h *house) published(k *signing.Keys, a jose.SignatureAlgorithm) (ids []string) {
	h.Helper()
	set, err := k.Published(h.Context())
	h.must(err)
	for _, x := range set.Keys {
		if !x.IsPublic() {
			h.Error("a private key is published")
		}
		if x.Algorithm == string(a) {
			ids = append(ids, x.KeyID)
		}
	}
	return ids
}

func TestKeysTakeTurns(t *testing.T) {
	for _, a := range signing.Algorithms {
		both(t, func(h *house) {
			k := h.node()
			begin := h.clock
			token, first := h.sign(k, a)
			if ids := h.published(k, a); len(ids) != 1 || ids[0] != first {
				h.Fatalf("%s: %v are published", a, ids)
			}
			h.clock = begin.Add(signing.Turn - signing.Ahead - time.Minute)
			if ids := h.published(k, a); len(ids) != 1 {
				h.Errorf("too early: %v", ids)
			}
			h.clock = begin.Add(signing.Turn - signing.Ahead)
			ids := h.published(k, a)
			if len(ids) != 2 {
				h.Fatalf("the next one is not published ahead: %v", ids)
			}
			if _, id := h.sign(k, a); id != first {
				h.Error("the next one signs already")
			}
			h.clock = begin.Add(signing.Turn)
			if _, id := h.sign(k, a); id == first || id != ids[1] {
				h.Error("the next one does not sign when it is its turn")
			}
			if _, id := h.sign(h.node(), a); id != ids[1] {
				h.Error("another node signs with another key")
			}
			h.clock = begin.Add(signing.Turn + signing.Published)
			if got := h.published(k, a); len(got) != 2 {
				h.Errorf("the one before went too soon: %v", got)
			}
			h.clock = h.clock.Add(2 * time.Minute)
			if got := h.published(k, a); len(got) != 1 || got[0] != ids[1] {
				h.Errorf("the one before is still published: %v", got)
			}
			// Its private half is gone; what it signed is still known as ours.
			var kept int
			h.must(h.db.Reader().QueryRowContext(h.Context(), `SELECT count(*) FROM signing_keys WHERE id = $1 AND private IS NOT NULL`, first).Scan(&kept))
			if kept != 0 {
				h.Error("a key that signs no more can still sign")
			}
			public, err := k.Key(h.Context(), first)
			h.must(err)
			parsed, err := jose.ParseSignedCompact(token, signing.Algorithms)
			h.must(err)
			if _, err := parsed.Verify(public.Key); err != nil {
				h.Errorf("what it signed: %v", err)
			}
			// Nobody looked for a year: the next one is published first all the same.
			h.clock = h.clock.Add(365 * 24 * time.Hour)
			if _, id := h.sign(k, a); id != ids[1] {
				h.Error("a key signs that nobody has seen")
			}
			if got := h.published(k, a); len(got) != 2 {
				h.Errorf("after a year: %v", got)
			}
			h.clock = h.clock.Add(signing.Ahead + signing.Kept + 2*time.Hour)
			h.sign(k, a)
			if public, err := k.Key(h.Context(), first); err != nil || public != nil {
				h.Errorf("a key of long ago is not forgotten: %v, %v", public, err)
			}
		})
	}
}

func TestNodesThatBeginAtOnceShareTheirKeys(t *testing.T) {
	both(t, func(h *house) {
		var all sync.WaitGroup
		ids := make([]string, 6)
		for i := range ids {
			all.Go(func() { _, ids[i] = h.sign(h.node(), jose.ES256) })
		}
		all.Wait()
		for _, id := range ids {
			if id != ids[0] {
				h.Fatalf("they sign with %v", ids)
			}
		}
	})
}

func TestKeysAreSealedAndSealedAnew(t *testing.T) {
	both(t, func(h *house) {
		k := h.node()
		_, id := h.sign(k, jose.RS256)
		var sealed []byte
		h.must(h.db.Reader().QueryRowContext(h.Context(), `SELECT private FROM signing_keys WHERE id = $1`, id).Scan(&sealed))
		if strings.Contains(string(sealed), "RSA") || len(sealed) < 1000 {
			h.Errorf("kept as %q", sealed)
		}
		h.must(h.ring.Rotate())
		h.must(h.db.Write(h.Context(), func(tx *db.Tx) error {
			done, lost, err := k.Reseal(h.Context(), tx)
			if done != 2 || len(lost) != 0 {
				h.Errorf("%d sealed anew, %v lost", done, lost)
			}
			return err
		}))
		h.must(h.ring.Retire())
		if _, now := h.sign(h.node(), jose.RS256); now != id {
			h.Error("another key signs")
		}
		// The key file is lost: it says what to do, and that works.
		h.ring = &seal.Ring{Path: filepath.Join(h.TempDir(), "another")}
		other := h.node()
		_, err := other.Sign(h.Context(), jose.RS256, "JWT", []byte("{}"))
		if err == nil || !strings.Contains(fault.HintOf(err), "rotate-keys") {
			h.Fatalf("without the key file: %v, hint %q", err, fault.HintOf(err))
		}
		h.must(h.db.Write(h.Context(), func(tx *db.Tx) error {
			_, lost, err := other.Reseal(h.Context(), tx)
			if len(lost) != 2 {
				h.Errorf("lost: %v", lost)
			}
			return err
		}))
		h.must(other.Rotate(h.Context(), false, "tester"))
		_, next := h.sign(other, jose.RS256)
		if next == id || len(h.published(other, jose.RS256)) != 2 {
			h.Errorf("after rotating by hand: %s of %v", next, h.published(other, jose.RS256))
		}
		// Another node has not looked since; it looks when it meets the new key.
		if public, err := k.Key(h.Context(), next); err != nil || public != nil {
			h.Errorf("at once: %v, %v", public, err)
		}
		h.clock = h.clock.Add(6 * time.Second)
		if public, err := k.Key(h.Context(), next); err != nil || public == nil {
			h.Errorf("a moment later: %v, %v", public, err)
		}
		h.must(other.Rotate(h.Context(), true, "tester"))
		if public, err := other.Key(h.Context(), id); err != nil || public != nil {
			h.Errorf("forgotten: %v, %v", public, err)
		}
		text, err := json.Marshal(h.published(other, jose.RS256))
		h.must(err)
		if strings.Count(string(text), ",") != 0 {
			h.Errorf("published: %s", text)
		}
	})
}
