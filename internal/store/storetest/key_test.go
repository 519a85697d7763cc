package storetest

import (
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/keys"
)

func TestAKeyIsGoodForAsLongAsItIsMeantToBe(t *testing.T) {
	both(t, func(t *testing.T, w *World) {
		table, now := w.Store.KeyTable, theClock
		table.Now = func() time.Time { return now }
		good := func(key string, want bool) *keys.Key {
			t.Helper()
			k, err := table.Check(t.Context(), key)
			if (err == nil) != want || err != nil && fault.KindOf(err) != fault.Denied {
				t.Errorf("good: %v, %v", err == nil, err)
			}
			return k
		}
		key, made, err := table.Create(t.Context(), keys.Scope{Organization: "org", ReadOnly: true}, "reports", now.Add(time.Hour), "eve")
		w.must(err)
		other, _, err := table.Create(t.Context(), keys.Scope{}, "", time.Time{}, "eve")
		w.must(err)
		if len(key) != 46 || !strings.HasPrefix(key, made.ID) || key == other || len(made.ID) != 11 {
			t.Errorf("%q, %q", key, made.ID)
		}
		k := good(key, true)
		equal(t, "scope", k.Scope.String(), "organization:org:read-only")
		for _, bad := range []string{"", "rk_", made.ID, key + "x", key[:45], key[:45] + "!", made.ID + other[11:], strings.ToLower(key) + "", "xx" + key[2:]} {
			if bad != key {
				good(bad, false)
			}
		}
		// The use is noted, but not more than once a minute.
		used := func() time.Time {
			t.Helper()
			list, err := table.List(t.Context(), "org", keys.Place{}, 10)
			w.must(err)
			equal(t, "keys of org", len(list), 1)
			return list[0].LastUsedAt
		}
		first := used()
		equal(t, "last used", first, now)
		now = now.Add(30 * time.Second)
		good(key, true)
		equal(t, "last used within the minute", used(), first)
		now = now.Add(30 * time.Second)
		good(key, true)
		equal(t, "last used after it", used(), now)

		now = now.Add(time.Hour)
		good(key, false)
		good(other, true)
		if _, err := table.Revoke(t.Context(), "org", other[:11], "eve"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("an organization revokes the operator's key: %v", err)
		}
		revoked, err := table.Revoke(t.Context(), "", other[:11], "eve")
		w.must(err)
		again, err := table.Revoke(t.Context(), "", other[:11], "mallory")
		w.must(err)
		if again.RevokedBy != "eve" || !again.RevokedAt.Equal(revoked.RevokedAt) {
			t.Errorf("%+v", again)
		}
		good(other, false)
		told, _ := w.Events(0)
		contains(t, told, "apikey.created")
		contains(t, told, "apikey.revoked")
		for _, line := range told {
			if strings.Contains(line, key[11:]) || strings.Contains(line, other[11:]) {
				t.Errorf("an event holds a key: %s", line)
			}
		}
	})
}

func TestNothingFromWhichAKeyCouldBeHadIsKept(t *testing.T) {
	both(t, func(t *testing.T, w *World) {
		key, made, err := w.Store.KeyTable.Create(t.Context(), keys.Scope{}, "", time.Time{}, "eve")
		w.must(err)
		var hash []byte
		w.must(w.Store.DB.Reader().QueryRowContext(t.Context(), `SELECT hash FROM api_keys WHERE id = $1`, made.ID).Scan(&hash))
		if len(hash) != 32 || strings.Contains(string(hash), key[11:20]) {
			t.Errorf("%x", hash)
		}
	})
}
