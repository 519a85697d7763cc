package setups

import (
	"strings"
	"testing"
)

func FuzzToken(f *testing.F) {
	f.Add("rt_" + strings.Repeat("A", 43))
	f.Add("rts_")
	f.Add("rt_\x00")
	f.Fuzz(func(t *testing.T, text string) {
		if isToken(linkPrefix, text) && (len(text) != 46 || strings.ContainsAny(text, "\x00\r\n ;/")) {
			t.Errorf("%q is taken for a token", text)
		}
		if isToken(linkPrefix, text) && isToken(sessionPrefix, text) {
			t.Errorf("%q is taken for both", text)
		}
	})
}
