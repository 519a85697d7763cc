package tree

import (
	"testing"
)

func TestTwoSpellingsOfOneNameHaveOneKey(t *testing.T) {
	for _, x := range []struct {
		name, a, b string
		same       bool
	}{
		{"case", "UID=Anna,OU=People,DC=x", "uid=anna,ou=people,dc=X", true},
		{"spaces between RDNs", "uid=anna , ou = people,dc=x", "uid=anna,ou=people,dc=x", true},
		{"runs of spaces", "cn=Anna   Ames,dc=x", "cn=anna ames,dc=x", true},
		{"an escaped comma, in two ways", `cn=Ames\, Anna,dc=x`, `cn=Ames\2c Anna,dc=x`, true},
		{"a comma that is not escaped", `cn=Ames\, Anna,dc=x`, "cn=Ames,cn=Anna,dc=x", false},
		{"two values in one RDN", "cn=a+sn=b,dc=x", "SN=b+CN=a,dc=x", true},
		{"a plus in a value", `cn=a\+sn\=b,dc=x`, "cn=a+sn=b,dc=x", false},
		{"hexadecimal", "cn=#414243,dc=x", "cn=abc,dc=x", true},
		{"letters beyond ASCII", "cn=ÄNNA", "cn=änna", true},
		{"bytes beyond ASCII, escaped", `cn=\c3\a4nna`, "cn=änna", true},
		{"a line end in a deleted name", "cn=Anna\\0ADEL:x,dc=x", "cn=Anna\nDEL:x,dc=x", true},
		{"an escaped space at the end", `cn=a\ ,dc=x`, "cn=a,dc=x", true},
		{"other values", "cn=a,dc=x", "cn=b,dc=x", false},
		{"the empty DN", "", " ", true},
	} {
		a, err := Key(x.a)
		if err != nil {
			t.Errorf("%s: %v", x.name, err)
		}
		b, err := Key(x.b)
		if err != nil || (a == b) != x.same {
			t.Errorf("%s: %q and %q, %v", x.name, a, b, err)
		}
	}
	for _, bad := range []string{"anna", "=anna", "cn=a,", "cn=a,,dc=x", `cn=a\`, "cn=#4", "cn=a+,dc=x"} {
		if k, err := Key(bad); err == nil {
			t.Errorf("%q is taken for a DN: %q", bad, k)
		}
	}
}

func TestPartsOfNames(t *testing.T) {
	for _, x := range []struct{ dn, rdn, above string }{
		{"cn=a,dc=x", "cn=a", "dc=x"},
		{`cn=a\,b , dc=x`, `cn=a\,b`, "dc=x"},
		{"cn=a", "cn=a", ""},
	} {
		if rdn, above := SplitDN(x.dn); rdn != x.rdn || above != x.above {
			t.Errorf("%q is %q below %q", x.dn, rdn, above)
		}
	}
	if JoinDN("cn=a", "") != "cn=a" || JoinDN("cn=a", "dc=x") != "cn=a,dc=x" {
		t.Error("joined otherwise")
	}
	for _, x := range []struct {
		key, base string
		scope     Scope
		in        bool
	}{
		{"cn=a,dc=x", "dc=x", Sub, true}, {"dc=x", "dc=x", Sub, true}, {"dc=xx", "dc=x", Sub, false}, {"cn=a,dc=xx", "dc=x", Sub, false}, {"cn=a", "", Sub, true},
		{"cn=a,dc=x", "dc=x", One, true}, {"dc=x", "dc=x", One, false}, {"cn=b,cn=a,dc=x", "dc=x", One, false}, {"cn=a", "", One, true},
		{"dc=x", "dc=x", Base, true}, {"cn=a,dc=x", "dc=x", Base, false},
	} {
		if x.scope.In(x.key, x.base) != x.in {
			t.Errorf("%q in scope %d of %q should be %v", x.key, x.scope, x.base, x.in)
		}
	}
}

func FuzzKey(f *testing.F) {
	for _, s := range []string{"cn=a,dc=x", `cn=Ames\, Anna+sn=\0a,dc=x`, "cn=#41", "", `\`, "=,", "cn=\xff\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key, err := Key(s)
		if err != nil {
			return
		}
		if again, err := Key(key); err != nil || again != key {
			t.Fatalf("%q has the key %q, and that %q, %v", s, key, again, err)
		}
		rdns, err := ParseDN(s)
		if err != nil || len(rdns) == 0 {
			return
		}
		written := ""
		for i := len(rdns) - 1; i >= 0; i-- {
			rdn := ""
			for _, a := range rdns[i] {
				if rdn != "" {
					rdn += "+"
				}
				rdn += a.Type + "=" + EscapeValue(a.Value)
			}
			written = JoinDN(rdn, written)
		}
		if again, err := Key(written); err != nil || again != key {
			t.Fatalf("%q is written %q, whose key is %q, not %q, %v", s, written, again, key, err)
		}
	})
}

func FuzzLoad(f *testing.F) {
	f.Add("dn: dc=x\no: x\n\ndn: cn=a,dc=x\ncn:: YQ==\n\ndn: cn=a,dc=x\nchangetype: modify\nadd: sn\nsn: b\n-\ndelete: sn\n-\n")
	f.Add("version: 1\ndn: dc=x\nchangetype: modrdn\nnewrdn: dc=y\ndeleteoldrdn: 1\n\n# no\n  more\n")
	f.Add("dn: dc=x\nchangetype: modify\n-\n-\n")
	f.Add("dn: dc=x\nchangetype: delete\n")
	f.Fuzz(func(_ *testing.T, text string) {
		// Whatever it is, it is taken or refused.
		_ = New(Options{Orphans: true, Links: Silent}).load(text)
	})
}
