package clean

import (
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"
)

// What the quick way reads, the library's parser reads as the same number.
func FuzzPlainNumbersAreTheLibrarysNumbers(f *testing.F) {
	for _, s := range []string{"+32 475 12 34 56", "+1-202-555-0143", "+49.30.123456", "+7 8 495 123 45 67", "+52 1 55 1234 5678", "+54 9 11 1234 5678",
		"+39 06 1234 5678", "+44 20 7946 0958", "+800 1234 5678", "+290 12345", "+3225551234", "+0123456789", "+999 123456"} {
		f.Add(s)
	}
	f.Add("+" + strings.Repeat(".", 300) + "50020000 ")
	for region := range phonenumbers.GetSupportedRegions() {
		if n := phonenumbers.GetExampleNumber(region); n != nil {
			f.Add(phonenumbers.Format(n, phonenumbers.INTERNATIONAL))
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := plainNumber(s)
		if !ok {
			return
		}
		want, err := phonenumbers.Parse(s, "")
		if err != nil || n.e164() != phonenumbers.Format(want, phonenumbers.E164) {
			t.Errorf("%q: quick %s, library %v, %v", s, n.e164(), want, err)
		}
		if text, ok := n.international(); ok && text != phonenumbers.Format(want, phonenumbers.INTERNATIONAL) {
			t.Errorf("%q: quick %q, library %q", s, text, phonenumbers.Format(want, phonenumbers.INTERNATIONAL))
		}
	})
}
