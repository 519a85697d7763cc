package setting

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestValuesFromTheirTextForm(t *testing.T) {
	const wrong = "wrong"
	for _, c := range []struct {
		name string
		o    Option
		in   string
		want any
	}{
		{"a text", Option{}, " as it is ", " as it is "},
		{"one of the choices", Option{Choices: []string{"sub", "one"}}, "one", "one"},
		{"none of the choices", Option{Choices: []string{"sub", "one"}}, "One", wrong},
		{"true", Option{Type: Bool}, "True", true},
		{"yes", Option{Type: Bool}, "yes", true},
		{"off", Option{Type: Bool}, "off", false},
		{"neither true nor false", Option{Type: Bool}, "1", wrong},
		{"no truth at all", Option{Type: Bool}, "", wrong},
		{"a number", Option{Type: Int}, "-7", -7},
		{"half a number", Option{Type: Int}, "7.5", wrong},
		{"a list", Option{Type: List}, "a, b ,c", []string{"a", "b", "c"}},
		{"a list of one", Option{Type: List}, "a", []string{"a"}},
		{"a list of nothing", Option{Type: List}, "", []string(nil)},
		{"a duration", Option{Type: Duration}, "90s", 90 * time.Second},
		{"a size", Option{Type: Size}, "64MB", int64(64 << 20)},
		{"a type there is not", Option{Type: 99}, "x", wrong},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.o.Parse(c.in)
			if (err != nil) != (c.want == wrong) || err == nil && !reflect.DeepEqual(got, c.want) {
				t.Errorf("%q is read as %v, %v", c.in, got, err)
			}
		})
	}
}

func TestASecretIsNotRepeatedInAnError(t *testing.T) {
	for _, typ := range []Type{Bool, Int, Duration, Size} {
		_, err := Option{Type: typ, Secret: true, Name: "bind_password"}.Parse("hunter2!")
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", typ, err)
		}
	}
}

func TestDurations(t *testing.T) {
	for _, c := range []struct {
		in   string
		want time.Duration
		ok   bool
	}{
		{"30", 30 * time.Second, true}, {"0", 0, true}, {"30s", 30 * time.Second, true}, {"1h30m", 90 * time.Minute, true},
		{"30d", 720 * time.Hour, true}, {"0d", 0, true}, {"106751d", 106751 * 24 * time.Hour, true},
		{"106752d", 0, false}, {"200000d", 0, false}, {"9223372037", 0, false}, {"99999999999999999999", 0, false},
		{"-1", 0, false}, {"-1s", 0, false}, {"-1d", 0, false}, {"1.5d", 0, false}, {"d", 0, false}, {"", 0, false}, {"soon", 0, false}, {"30 s", 0, false},
	} {
		got, err := ParseDuration(c.in)
		if (err == nil) != c.ok || got != c.want {
			t.Errorf("%q is read as %v, %v", c.in, got, err)
		}
	}
}

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		in   string
		want int64
		ok   bool
	}{
		{"0", 0, true}, {"1234", 1234, true}, {"12b", 12, true}, {"1k", 1 << 10, true}, {"200kB", 200 << 10, true}, {"64MB", 64 << 20, true}, {"64 MB", 64 << 20, true},
		{"1GiB", 1 << 30, true}, {" 2tib ", 2 << 40, true}, {"4194304T", 1 << 62, true},
		{"4194305T", 0, false}, {"99999999999999999999", 0, false}, {"-1", 0, false}, {"1.5GB", 0, false}, {"", 0, false}, {"MB", 0, false}, {"1PB", 0, false}, {"big", 0, false},
	} {
		got, err := ParseSize(c.in)
		if (err == nil) != c.ok || got != c.want {
			t.Errorf("%q is read as %v, %v", c.in, got, err)
		}
	}
}

func FuzzNumbersWithUnits(f *testing.F) {
	for _, s := range []string{"30", "30d", "1h", "64MB", "1GiB", "-1", "9223372036854775807d", "9223372036854775807T"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := ParseDuration(s); d < 0 || err != nil && d != 0 {
			t.Fatalf("the duration %q is read as %v, %v", s, d, err)
		}
		if n, err := ParseSize(s); n < 0 || err != nil && n != 0 {
			t.Fatalf("the size %q is read as %v, %v", s, n, err)
		}
	})
}

func TestWhatIsUnsetTakesItsDefault(t *testing.T) {
	options := []Option{{Name: "scope", Default: "sub"}, {Name: "tls.start_tls", Type: Bool, Default: "true"}, {Name: "size", Type: Int, Default: "1000"}, {Name: "base"}}
	v := Values{"tls.start_tls": false}
	if err := Defaults(options, v); err != nil {
		t.Fatal(err)
	}
	if want := (Values{"scope": "sub", "tls.start_tls": false, "size": 1000}); !reflect.DeepEqual(v, want) {
		t.Errorf("%v, want %v", v, want)
	}
	if Defaults([]Option{{Name: "size", Type: Int, Default: "many"}}, Values{}) == nil {
		t.Error("a default that cannot be read is taken")
	}
}

func TestAValueOfAnotherTypeIsAbsent(t *testing.T) {
	v := Values{"s": "x", "b": true, "i": 7, "d": time.Second, "l": []string{"a"}, "z": int64(9)}
	if v.String("s") != "x" || !v.Bool("b") || v.Int("i") != 7 || v.Duration("d") != time.Second || len(v.List("l")) != 1 || v.Size("z") != 9 {
		t.Errorf("%v does not give what is in it", v)
	}
	if v.String("i") != "" || v.Bool("s") || v.Int("z") != 0 || v.Duration("i") != 0 || v.List("s") != nil || v.Size("i") != 0 || v.String("nowhere") != "" {
		t.Errorf("%v gives what is not in it", v)
	}
}

func TestTheNearestWord(t *testing.T) {
	known := []string{"bind_dn", "base_dn", "sync.filter", "no-update-provider-mismatch"}
	for _, c := range []struct{ in, want string }{
		{"bindn", "bind_dn"}, {"bsae_dn", "base_dn"}, {"BASE_DN", "base_dn"}, {"sync.fliter", "sync.filter"}, {"no-update-provider-mismach", "no-update-provider-mismatch"},
		{"", ""}, {"completely_else", ""}, {"x", ""},
	} {
		if got := Nearest(c.in, known); got != c.want {
			t.Errorf("nearest to %q is %q, want %q", c.in, got, c.want)
		}
	}
	if got := Nearest("x", nil); got != "" {
		t.Errorf("among no words %q is near", got)
	}
}

func TestAnOptionIsFoundByItsWholeName(t *testing.T) {
	options := []Option{{Name: "tls.ca_file", Secret: true}}
	if o, ok := Find(options, "tls.ca_file"); !ok || !o.Secret {
		t.Errorf("%+v, %v", o, ok)
	}
	if _, ok := Find(options, "ca_file"); ok {
		t.Error("a part of a name finds an option")
	}
}

// A file that says nothing must never do more than is safe.
func TestWithoutSettingsTheCautiousOnesAreInForce(t *testing.T) {
	if p := DefaultPolicy(); p != (Policy{DeleteDisables: true, NoUpdateProviderMismatch: true}) {
		t.Errorf("%+v", p)
	}
	l := DefaultLimits()
	if l.Removals != 0.2 || l.RemovalsMin != 10 || l.MembershipRemovals <= 0 || l.GroupRemovals <= 0 || l.IdentityChanges <= 0 {
		t.Errorf("%+v", l)
	}
}
