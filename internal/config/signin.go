package config

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"rollcall.dev/rollcall/internal/setting"
)

func signInKeys(s *setting.SignIn) []key {
	return []key{
		session("session_idle", &s.SessionIdle, "Who does nothing for so long is signed out."),
		session("session_max", &s.SessionMax, "Everybody is signed out after so long, however much they did."),
		least(1, count("tries", &s.Tries, "Wrong passwords for one person before there are waits. Those of a place the person signed in from before are counted apart from those of strangers.")),
		upTo(24*time.Hour, duration("first_wait", &s.FirstWait, "The first wait. Each further wrong password doubles it.")),
		upTo(24*time.Hour, duration("longest_wait", &s.LongestWait, "The longest wait it comes to.")),
		count("lock_after", &s.LockAfter, "After so many wrong passwords the wait is `lock_for` at least. Choose fewer than the directory lets through, so that strangers lock nobody out there. 0 for no such limit."),
		upTo(24*time.Hour, duration("lock_for", &s.LockFor, "Choose as long as the directory remembers wrong passwords.")),
		least(1, count("address_tries", &s.AddressTries, "`tries` for all people together who come from one network address (in IPv6 one /64) and did not sign in from there before. One more is let through every minute.")),
		upTo(time.Minute, duration("timeout", &s.Timeout, "How long a directory may take to answer one sign-in.")),
		least(1, count("at_once", &s.AtOnce, "Sign-ins of one connection that go on at a time, on each node.")),
		flag("change_first", &s.ChangeFirst, "Whoever has an account that no connection keeps, and a password that an administrator gave, chooses one of their own at the first sign-in."),
	}
}

func connectionSignInKeys(d *decoder, s *setting.ConnectionSignIn) []key {
	return []key{
		flag("enabled", &s.Enabled, "Whether people sign in through this connection at all."),
		{
			name: "domains", typ: setting.List.String(), help: "E-mail domains, such as `example.com`: whoever types an address of one at `/login` is led to this connection. Only operators set them: passwords of people there go to this directory.",
			schema: schema{"anyOf": []schema{{"type": "string"}, {"type": "array", "items": schema{"type": "string"}}}},
			set:    func(string) error { return nil }, // forms ask for it; what they send is read below
			node: func(path string, n *node) {
				for i, text := range d.texts(path, n) {
					text = strings.ToLower(strings.TrimPrefix(strings.TrimSpace(text), "@"))
					switch {
					case !domainForm.MatchString(text) || len(text) > 253:
						d.add(n.item(i), "%s: expected a domain such as example.com", path)
					case !slices.Contains(s.Domains, text):
						s.Domains = append(s.Domains, text)
					}
				}
			},
		},
		flag("show_reasons", &s.ShowReasons, "Whether people whose password was right are told why they are not let in (disabled, expired, not in scope, no seat left). Without it they are told that it did not work."),
		flag("change_first", &s.ChangeFirst, "Whoever still has the password that the file gave chooses one of their own at the first sign-in. Only for sources that bring passwords, such as `csv`."),
	}
}

var domainForm = regexp.MustCompile(`^[\pL\pN]([\pL\pN.-]*[\pL\pN])?$`)

// least refuses numbers that are less.
func least(n int, k key) key {
	set := k.set
	k.set = func(s string) error {
		v, err := setting.Option{Type: setting.Int}.Parse(s)
		if err != nil || v.(int) < n {
			return errors.New("expected a whole number, 1 or more")
		}
		return set(s)
	}
	return k
}

// upTo refuses durations that are longer, or shorter than a second.
func upTo(high time.Duration, k key) key {
	set := k.set
	k.initial = trimmed(k.initial)
	k.set = func(s string) error {
		v, err := setting.ParseDuration(s)
		if err != nil || v < time.Second || v > high {
			return errors.New("expected 1s to " + trimmed(high.String()))
		}
		return set(s)
	}
	return k
}

// trimmed is a duration as people write it: "5m" for "5m0s".
func trimmed(text string) string {
	if t, ok := strings.CutSuffix(text, "m0s"); ok {
		text = t + "m"
	}
	if t, ok := strings.CutSuffix(text, "h0m"); ok {
		text = t + "h"
	}
	return text
}

func exportSignIn(s setting.ConnectionSignIn) yaml.MapSlice {
	m := yaml.MapSlice{{Key: "enabled", Value: s.Enabled}}
	if len(s.Domains) > 0 {
		m = append(m, yaml.MapItem{Key: "domains", Value: s.Domains})
	}
	return append(m, yaml.MapItem{Key: "show_reasons", Value: s.ShowReasons}, yaml.MapItem{Key: "change_first", Value: s.ChangeFirst})
}
