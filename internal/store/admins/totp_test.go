package admins

import (
	"context"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/seal"
)

// The test vectors of RFC 6238, appendix B, whose last six digits are ours.
func TestCodesAreThoseOfTheRFC(t *testing.T) {
	secret := []byte("12345678901234567890")
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"} {
		if got := totpCode(secret, at/30); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
		if step, ok := totpMatch(secret, want, time.Unix(at, 0), 0); !ok || step != at/30 {
			t.Errorf("at %d: step %d, %v", at, step, ok)
		}
	}
}

func TestACodeIsGoodAStepEitherWayAndNeverAgain(t *testing.T) {
	secret, now := []byte("12345678901234567890"), time.Unix(1_700_000_010, 0)
	current := now.Unix() / 30
	for _, c := range []struct {
		name        string
		step, after int64
		want        bool
	}{
		{"this step", current, 0, true},
		{"the step before", current - 1, 0, true},
		{"the step to come", current + 1, 0, true},
		{"two steps ago", current - 2, 0, false},
		{"two steps ahead", current + 2, 0, false},
		{"one that was taken", current, current, false},
		{"one before one that was taken", current - 1, current, false},
		{"one behind one that was taken", current + 1, current, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, ok := totpMatch(secret, totpCode(secret, c.step), now, c.after); ok != c.want {
				t.Errorf("good: %v", ok)
			}
		})
	}
}

func TestNobodysHashTakesAsMuchWorkAsSomebodys(t *testing.T) {
	hash, err := seal.HashPassword(context.Background(), "winter kettle orbit")
	if err != nil {
		t.Fatal(err)
	}
	cost := func(h string) string { return strings.Join(strings.Split(h, "$")[:4], "$") }
	if cost(hash) != cost(nobody) {
		t.Errorf("%s, and nobody's %s", cost(hash), cost(nobody))
	}
	if ok, err := seal.VerifyPassword(context.Background(), "winter kettle orbit", nobody); ok || err != nil {
		t.Error(ok, err)
	}
}

func TestThePasswordsNobodyMayHave(t *testing.T) {
	for name, c := range map[string]struct{ plain, want string }{
		"too short":                   {"elevenchars", "too short"},
		"short in characters":         {"éééééééé", "too short"},
		"too long":                    {strings.Repeat("ab c", 251), "longer than"},
		"the e-mail address":          {"Eve.Miller@Example.com", "e-mail address"},
		"one of the commonest":        {"PasswordPassword", "tried first"},
		"one character over and over": {"aaaaaaaaaaaaaaa", "over and over"},
		"with a NUL":                  {"winter kettle\x00orbit", "not text"},
		"not UTF-8":                   {"winter kettle \xff orbit", "not text"},
		"empty":                       {"", "too short"},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckPassword(c.plain, "eve.miller@example.com")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Error(err)
			}
			if err != nil && c.plain != "" && strings.Contains(err.Error(), c.plain) {
				t.Error("the error holds the password")
			}
		})
	}
	for _, good := range []string{"winter kettle orbit", "größer als ein Haus", strings.Repeat("abcd ", 200)} {
		if err := CheckPassword(good, "eve@example.com"); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, c := range commonest {
		if len(c) < leastPassword || strings.ToLower(c) != c {
			t.Errorf("%q is never compared", c)
		}
	}
}

func TestWaitsDoubleUpToAQuarterOfAnHour(t *testing.T) {
	for tries, want := range map[int]time.Duration{0: 0, 4: 0, 5: 5 * time.Second, 6: 10 * time.Second, 7: 20 * time.Second, 12: 640 * time.Second, 13: 15 * time.Minute, 1_000_000_000: 15 * time.Minute} {
		if got := rule(5).Wait(tries); got != want {
			t.Errorf("after %d tries: %s, want %s", tries, got, want)
		}
	}
}

func FuzzEmail(f *testing.F) {
	for _, s := range []string{"eve@example.com", "Eve <eve@example.com>", "eve@[127.0.0.1]", "\"a b\"@example.com", "e\u212ae@example.com", "\x00", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		kept, err := CheckEmail(text)
		if err != nil {
			return
		}
		if again, err := CheckEmail(kept); err != nil || again != kept {
			t.Errorf("%q is kept as %q, which is kept as %q (%v)", text, kept, again, err)
		}
		if fold(kept) == "" || fold(fold(kept)) != fold(kept) || strings.ContainsAny(kept, "\x00\r\n") {
			t.Errorf("%q folds to %q", kept, fold(kept))
		}
	})
}

func FuzzToken(f *testing.F) {
	f.Add("rs_" + strings.Repeat("A", 43))
	f.Add("rs_")
	f.Add("rl_\x00")
	f.Fuzz(func(t *testing.T, text string) {
		if isToken(sessionPrefix, text) && (len(text) != 46 || strings.ContainsAny(text, "\x00\r\n ;")) {
			t.Errorf("%q is taken for a token", text)
		}
	})
}

func FuzzCode(f *testing.F) {
	f.Add("123 456")
	f.Add("abcd-efgh-jkmn-pqrs")
	f.Add(strings.Repeat("-", 100))
	f.Fuzz(func(t *testing.T, text string) {
		if c := plainCode(text); len(c) > 3*64 || strings.ContainsAny(c, " -") {
			t.Errorf("%q becomes %q", text, c)
		}
		if _, ok := totpMatch([]byte("12345678901234567890"), plainCode(text), time.Unix(59, 0), 2); ok {
			t.Errorf("%q is good for a step that has been", text)
		}
	})
}
