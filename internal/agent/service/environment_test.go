package service

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"rollcall.dev/rollcall/internal/fault"
)

func wide(order binary.ByteOrder, text string) string {
	var out []byte
	for _, unit := range utf16.Encode([]rune("\uFEFF" + text)) {
		b := make([]byte, 2)
		order.PutUint16(b, unit)
		out = append(out, b...)
	}
	return string(out)
}

func TestTheEnvironmentFileIsRead(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []Variable
	}{
		"nothing":                            {"", nil},
		"comments and empty lines":           {"# a\n\n  ; b=c\r\n", nil},
		"lines of Windows and of Unix":       {"A=1\r\nB=2\nC=3", []Variable{{"A", "1"}, {"B", "2"}, {"C", "3"}}},
		"the last one counts":                {"A=1\nB=2\nA=3\n", []Variable{{"B", "2"}, {"A", "3"}}},
		"also in small letters":              {"https_proxy=a\nHTTPS_PROXY=b\n", []Variable{{"HTTPS_PROXY", "b"}}},
		"a path, whose backslashes stay":     {`AD_CONNECT_CONFIG=C:\new folder\table.yaml`, []Variable{{"AD_CONNECT_CONFIG", `C:\new folder\table.yaml`}}},
		"quotes go, one pair of them":        {`A="x y"` + "\n" + `B='"'` + "\n" + `C="` + "\n" + `D="a'`, []Variable{{"A", "x y"}, {"B", `"`}, {"C", `"`}, {"D", `"a'`}}},
		"more equals signs, and a hash":      {"A=b=c#d", []Variable{{"A", "b=c#d"}}},
		"space around":                       {"  A=  b \t", []Variable{{"A", "b"}}},
		"no value":                           {"A=", []Variable{{"A", ""}}},
		"a mark of byte order, by Notepad":   {"\xEF\xBB\xBFA=\u00fc", []Variable{{"A", "ü"}}},
		"UTF-16, by PowerShell":              {wide(binary.LittleEndian, "A=ü\r\nB=😀\r\n"), []Variable{{"A", "ü"}, {"B", "😀"}}},
		"UTF-16 from the other end":          {wide(binary.BigEndian, "A=ü\r\n"), []Variable{{"A", "ü"}}},
		"a long value, but not endlessly so": {"A=" + strings.Repeat("x", 60_000), []Variable{{"A", strings.Repeat("x", 60_000)}}},
	} {
		got, err := environment([]byte(c.text))
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q %v, want %q", name, got, err, c.want)
		}
	}
}

func TestWhatIsWrongInTheEnvironmentFileIsNamedAndNotShown(t *testing.T) {
	for text, want := range map[string]string{
		"A=1\nsecret":               "line 2 is not NAME=value",
		"=secret":                   "line 1 is not NAME=value",
		"export A=secret":           "line 1 is not NAME=value",
		"1A=secret":                 "line 1 is not NAME=value",
		"A=sec\x00ret":              "line 1 is not NAME=value",
		"A=secret\xff":              "it is not UTF-8",
		strings.Repeat("#", 70_000): "it is larger than 65536 bytes",
	} {
		_, err := environment([]byte(text))
		if err == nil || err.Error() != want || fault.KindOf(err) != fault.Invalid {
			t.Errorf("%.20q: %v, want %s", text, err, want)
		}
	}
}

func TestSettingsAreChangedAndTheRestStays(t *testing.T) {
	set := []Variable{{"AD_CONNECT_ADDR", "b:1"}, {"AD_CONNECT_AUTH", "agt_b:two"}}
	first, err := with(nil, set)
	if err != nil || !strings.HasPrefix(string(first), "# Environment") || !strings.HasSuffix(string(first), "\r\nAD_CONNECT_ADDR=b:1\r\nAD_CONNECT_AUTH=agt_b:two\r\n") {
		t.Fatalf("%s %v", first, err)
	}
	if again, err := with(first, set); err != nil || string(again) != string(first) {
		t.Errorf("the same once more: %s %v", again, err)
	}
	if same, err := with(first, nil); err != nil || string(same) != string(first) {
		t.Errorf("with nothing to set: %s %v", same, err)
	}
	changed, err := with([]byte(wide(binary.LittleEndian, "#AD_CONNECT_ADDR=x\r\nAD_CONNECT_ADDR=a:1\r\nad_connect_auth=agt_a:one\r\nHTTPS_PROXY=p")), set)
	if want := "#AD_CONNECT_ADDR=x\r\nHTTPS_PROXY=p\r\nAD_CONNECT_ADDR=b:1\r\nAD_CONNECT_AUTH=agt_b:two\r\n"; err != nil || string(changed) != want {
		t.Errorf("%q %v, want %q", changed, err, want)
	}
	if _, err := with(nil, []Variable{{"AD_CONNECT_ADDR", "a:1\r\nHTTPS_PROXY=evil"}}); err == nil || strings.Contains(err.Error(), "evil") {
		t.Errorf("a line within a value: %v", err)
	}
	if _, err := with([]byte("not a file of ours"), set); err == nil {
		t.Error("a file of something else is written over")
	}
}

// What is written is read back the same, whatever stood there before.
func FuzzEnvironment(f *testing.F) {
	f.Add([]byte("# a\nA=1\r\nB='x'\n"), "value")
	f.Add([]byte(wide(binary.LittleEndian, "A=1\nA=2")), `C:\a b`)
	f.Fuzz(func(t *testing.T, text []byte, value string) {
		before, err := environment(text)
		if err != nil {
			return
		}
		file, err := with(text, []Variable{{"A", value}})
		if err != nil || len(file) > mostEnvironment {
			return
		}
		after, err := environment(file)
		if err != nil {
			return // a value that is no text
		}
		rest := func(v Variable) bool { return strings.EqualFold(v.Name, "A") }
		if !slices.Equal(slices.DeleteFunc(before, rest), slices.DeleteFunc(slices.Clone(after), rest)) {
			t.Errorf("%q became %q", text, file)
		}
	})
}
