package keys

import "testing"

func TestScopes(t *testing.T) {
	for text, want := range map[string]Scope{
		"operator": {}, "read-only": {ReadOnly: true}, "organization:sun": {Organization: "sun"}, "organization:sun:read-only": {Organization: "sun", ReadOnly: true},
	} {
		got, err := ParseScope(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s: %+v %v, written %s", text, got, err, got)
		}
	}
	for _, bad := range []string{"", "Operator", "admin", "organization", "organization:", "organization::read-only", "organization:a:b", "organization:a:read-only:x", "operator:read-only"} {
		if got, err := ParseScope(bad); err == nil {
			t.Errorf("%q is the scope %+v", bad, got)
		}
	}
}

func TestAScopeHoldsNoneThatReachesFurther(t *testing.T) {
	all, some := Scope{}, Scope{Organization: "sun"}
	allRead, someRead := Scope{ReadOnly: true}, Scope{Organization: "sun", ReadOnly: true}
	for _, c := range []struct {
		own   Scope
		gives []Scope
	}{
		{all, []Scope{all, some, allRead, someRead}},
		{some, []Scope{some, someRead}},
		{allRead, []Scope{allRead, someRead}},
		{someRead, []Scope{someRead}},
	} {
		for _, other := range []Scope{all, some, allRead, someRead, {Organization: "moon"}} {
			want := false
			for _, g := range c.gives {
				want = want || g == other
			}
			if c.own == all {
				want = true
			}
			if got := c.own.Holds(other); got != want {
				t.Errorf("%s gives out %s: %v", c.own, other, got)
			}
		}
	}
}

// Whatever is taken for a scope is written as it was read.
func FuzzScope(f *testing.F) {
	for _, s := range []string{"operator", "organization:sun:read-only", "organization:", ":"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := ParseScope(text); err == nil && s.String() != text {
			t.Errorf("%q is written %q", text, s)
		}
	})
}
