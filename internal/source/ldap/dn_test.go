package ldap

import (
	"testing"
	"unicode/utf8"
)

func TestTwoSpellingsOfOneNameAreEqual(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"a normal DN stays as it is", "uid=anna,ou=people,dc=example,dc=org", "uid=anna,ou=people,dc=example,dc=org"},
		{"case does not count", "UID=Anna,OU=People,DC=Example,DC=org", "uid=anna,ou=people,dc=example,dc=org"},
		{"spaces around separators do not count", " cn = Anna Ames , ou = people ,dc=x ", "cn=anna ames,ou=people,dc=x"},
		{"an escaped comma", `CN=Ames\, Anna,DC=x`, `cn=ames\, anna,dc=x`},
		{"the same in hex", `CN=Ames\2c Anna,DC=x`, `cn=ames\, anna,dc=x`},
		{"the same in quotes", `CN="Ames, Anna",DC=x`, `cn=ames\, anna,dc=x`},
		{"UTF-8 as it is", "cn=Jürgen Ä,dc=x", "cn=jürgen ä,dc=x"},
		{"UTF-8 in hex", `cn=J\C3\BCrgen \C3\84,dc=x`, "cn=jürgen ä,dc=x"},
		{"a letter and its mark are one letter", "cn=Ju\u0308rgen,dc=x", "cn=jürgen,dc=x"},
		{"parts of an RDN in any order", "OU=Sales + CN=J. Smith,DC=x", "cn=j. smith+ou=sales,dc=x"},
		{"the same the other way round", "CN=J. Smith+OU=Sales,DC=x", "cn=j. smith+ou=sales,dc=x"},
		{"an escaped space at the end is part of the value", `cn=a\ ,dc=x`, `cn=a\ ,dc=x`},
		{"the same in hex", `cn=a\20,dc=x`, `cn=a\ ,dc=x`},
		{"an escaped hash at the start", `cn=\#1,dc=x`, `cn=\#1,dc=x`},
		{"a hash inside needs no escape", `cn=a#1,dc=x`, `cn=a#1,dc=x`},
		{"a deleted object of Active Directory", `CN=Bo\0ADEL:1-2,CN=Deleted Objects,DC=x`, `cn=bo\0adel:1-2,cn=deleted objects,dc=x`},
		{"an equals sign in a value", "cn=a=b,dc=x", "cn=a=b,dc=x"},
		{"the same escaped", `cn=a\=b,dc=x`, "cn=a=b,dc=x"},
		{"a BER value", "1.3.6.1=#04024869,dc=x", "1.3.6.1=#04024869,dc=x"},
		{"semicolons of old", "cn=a;dc=x", "cn=a,dc=x"},
		{"a uniqueMember with its bit string", "cn=a,dc=x#'0101'B", "cn=a,dc=x"},
		{"the same behind letters outside ASCII", "cn=a,dc=ü#'0101'B", "cn=a,dc=ü"},
		{"a hash among letters outside ASCII", "cn=ü#1,dc=x", "cn=ü#1,dc=x"},
		{"letters outside ASCII in several values", `CN=Ärger\, Öl,OU=研究開発 ,DC=Ü`, `cn=ärger\, öl,ou=研究開発,dc=ü`},
		{"one RDN", "CN=All Users", "cn=all users"},
		{"an empty value", "cn=,dc=x", "cn=,dc=x"},
		{"a plain word", "Anna", "anna"},
		{"a broken escape is no DN", `cn=a\`, `cn=a\`},
		{"an open quote is no DN", `cn="A`, `cn="a`},
		{"a comma at the end is no DN", "CN=a,", "cn=a,"},
		{"nothing", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Refer(c.in); got != c.want {
				t.Errorf("Refer(%q) = %q, want %q", c.in, got, c.want)
			}
		})
	}
}

func TestSpacesThatDoNotCountAreLeftOut(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"a normal DN stays as it is", "cn=anna ames,ou=people,dc=x", "cn=anna ames,ou=people,dc=x"},
		{"several spaces inside are as one", "CN=Anna   van  Ames,OU=A  B,dc=x", "cn=anna van ames,ou=a b,dc=x"},
		{"the same escaped and in hex", `cn=Anna\20\ \  Ames,dc=x`, "cn=anna ames,dc=x"},
		{"the same in quotes", `cn=" Anna   Ames  ",dc=x`, "cn=anna ames,dc=x"},
		{"the same in parts of an RDN", "OU=A   B+CN=C  D,DC=x", "cn=c d+ou=a b,dc=x"},
		{"escaped ones at the ends do not count", `cn=\20a\20,dc=x`, `cn=a,dc=x`},
		{"nothing but spaces is as nothing", `cn=\20\20,dc=x`, `cn=,dc=x`},
		{"other escapes stay", `cn=a\,  b\\  \+c\=d\ ,dc=x`, `cn=a\, b\\ \+c=d,dc=x`},
		{"what is no DN stays", "Anna  Ames", "anna  ames"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Alike(Refer(c.in)); got != c.want {
				t.Errorf("Alike(%q) = %q, want %q", c.in, got, c.want)
			}
		})
	}
}

func TestAPlainNameTakesMemoryForItsResultAlone(t *testing.T) {
	normal, mixed := "uid=u000001,ou=people,dc=example,dc=org", "UID=u000001, OU=People,DC=Example,DC=org"
	if n := testing.AllocsPerRun(100, func() { Refer(normal) }); n != 0 {
		t.Errorf("a normal DN: %v allocations, want 0", n)
	}
	if n := testing.AllocsPerRun(100, func() { Refer(mixed) }); n != 1 {
		t.Errorf("a mixed DN: %v allocations, want 1", n)
	}
}

func FuzzRefer(f *testing.F) {
	for _, s := range []string{
		"UID=Anna, OU=People,DC=x", `CN="a,b"+ou=\C3\84,dc=x`, `cn=a\ ,dc=x`, "cn=#04", "\u212a=x , ", "cn=\u0130\u212b",
		"cn=a,dc=x#'01'B", `cn=\ff\fe,dc=x`, "cn=a;b=c", `cn=a  \ b\20+ou=  \  ,dc=x`, `0=00+0=\ !0`, "cn=H\u0331", "#'0'B#''B",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := Refer(s)
		if twice := Refer(once); twice != once {
			t.Fatalf("Refer(%q) = %q, and that gives %q", s, once, twice)
		}
		alike := Alike(once)
		if twice, whole := Alike(alike), Refer(alike); twice != alike || whole != alike {
			t.Fatalf("Alike(%q) = %q, and that gives %q and %q", s, alike, twice, whole)
		}
		if plain, ok := referPlain(s); ok {
			if slow, ok := referParsed(s); !ok || slow != plain {
				t.Fatalf("%q: the fast path gives %q, the parser %q, %v", s, plain, slow, ok)
			}
		}
		if utf8.ValidString(s) && !utf8.ValidString(once) {
			t.Fatalf("Refer(%q) = %q is not UTF-8 any more", s, once)
		}
	})
}

func TestACommaInAValueIsNoLevel(t *testing.T) {
	for _, c := range []struct {
		dn, base, parent string
		under            bool
	}{
		{"cn=a,dc=x", "dc=x", "dc=x", true},
		{"cn=a,ou=b,dc=x", "dc=x", "ou=b,dc=x", true},
		{"dc=x", "dc=x", "", true},
		{"dc=x", "", "", true},
		{"cn=a,dc=xx", "dc=x", "dc=xx", false},
		{`cn=a\,dc=x`, "dc=x", "", false},
		{`cn=a\\,dc=x`, "dc=x", "dc=x", true},
		{`cn=a\\\,dc=x`, "dc=x", "", false},
		{`cn=a\,b,dc=x`, "dc=x", "dc=x", true},
	} {
		if Refer(c.dn) != c.dn {
			t.Errorf("%s is not in its normal form", c.dn)
		}
		if got := under(c.dn, c.base); got != c.under {
			t.Errorf("%s under %q: %v", c.dn, c.base, got)
		}
		if got := parent(c.dn); got != c.parent {
			t.Errorf("above %s is %q, want %q", c.dn, got, c.parent)
		}
	}
}
