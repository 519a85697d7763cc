package profile

import (
	"strings"
	"testing"
)

func TestBrowsersAreNamedAsPeopleKnowThem(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36":                                   "Chrome on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0":           "Edge on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Safari/605.1.15":                   "Safari on macOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1": "Safari on iPhone",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:131.0) Gecko/20100101 Firefox/131.0":                                                        "Firefox on Windows",
		"curl/8.9.1": "curl", "rollcall-test": "another program", "": "unknown",
	} {
		if got := Browser(agent); got != want {
			t.Errorf("%q is called %q, want %q", agent, got, want)
		}
	}
}

func TestASecretIsTypedFourSignsAtATime(t *testing.T) {
	for secret, want := range map[string]string{"ABCDEFGHIJ": "ABCD EFGH IJ", "ABCD EFGH": "ABCD EFGH", "": ""} {
		if got := grouped(secret); got != want {
			t.Errorf("%q: %q", secret, got)
		}
	}
}

// The picture has the three finder patterns of a QR code (ISO/IEC 18004) behind its
// quiet margin, and says nothing in words of what it holds.
func TestTheQRCodeIsOneAndKeepsItsSecret(t *testing.T) {
	const uri = "otpauth://totp/Rollcall:ada@example.com?secret=JBSWY3DPEHPK3PXP&issuer=Rollcall"
	picture, err := drawn(uri)
	if err != nil {
		t.Fatal(err)
	}
	text := string(picture)
	for x := range 7 {
		if !strings.Contains(text, "M"+string(rune('4'+x))+" 4h1v1h-1z") && x < 6 {
			t.Errorf("no finder pattern at %d: %.200s", x, text)
		}
	}
	if strings.Contains(text, "M3 ") || strings.Contains(text, "JBSWY") || strings.Contains(text, "ada") {
		t.Errorf("%.300s", text)
	}
	if _, err := drawn(strings.Repeat("x", 5000)); err == nil {
		t.Error("a text that does not fit is drawn all the same")
	}
}
