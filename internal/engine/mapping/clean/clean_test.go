package clean

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	for name, c := range map[string]struct{ in, want, why string }{
		"plain":                {"Jane Doe", "Jane Doe", ""},
		"space around":         {" \t Jane\u00a0", "Jane", ""},
		"only space":           {" \n ", "", ""},
		"composed":             {"Zoe\u0308", "Zoë", ""},
		"a newline inside":     {"a\nb", "", control},
		"DEL":                  {"a\x7fb", "", control},
		"a control from above": {"a\u0085b", "", control},
		"a direction override": {"a\u202eb", "", control},
		"not UTF-8":            {"a\xff", "", notUTF8},
		"too long":             {strings.Repeat("x", 257), "", tooLong},
		"too long, not ASCII":  {strings.Repeat("é", 257), "", tooLong},
		"just long enough":     {strings.Repeat("é", 256), strings.Repeat("é", 256), ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got, why := Text(c.in); got != c.want || why != c.why {
				t.Errorf("got %q, %q", got, why)
			}
		})
	}
}

func TestEmail(t *testing.T) {
	for in, want := range map[string]string{
		"jane@example.org":       "jane@example.org",
		" Jane.Doe@Example.ORG ": "Jane.Doe@example.org",
		"o'brien+x@a-b.example":  "o'brien+x@a-b.example",
		"root@localhost":         "root@localhost",
		"josé@exämple.com":       "josé@exämple.com",
		"jane@EXÄMPLE.com":       "jane@exämple.com",
		"a b@example.org":        "",
		"Jane <jane@example>":    "",
		"<jane@example.org>":     "",
		"a@b@c":                  "",
		`"a@b"@c`:                "",
		"a..b@example.org":       "",
		".a@example.org":         "",
		"a.@example.org":         "",
		"a@.example.org":         "",
		"a@example..org":         "",
		"a@":                     "",
		"@b":                     "",
		"nobody":                 "",
		"a@b, c@d":               "",
	} {
		t.Run(in, func(t *testing.T) {
			if got, why := Email(in); got != want || (why == "") != (want != "") {
				t.Errorf("got %q, %q", got, why)
			}
		})
	}
}

func TestPhones(t *testing.T) {
	for _, c := range []struct{ in, region, mobile, phone string }{
		{"0475 12 34 56", "BE", "+32475123456", "+32 475 12 34 56"},
		{"tel:+32-2-555-12-34", "", "+3225551234", "+32 2 555 12 34"},
		{"00 32 2 555 12 34", "", "+3225551234", "+32 2 555 12 34"},
		{"+32 (0)2 555 12 34", "NL", "+3225551234", "+32 2 555 12 34"},
		{"02 555 12 34 x55", "BE", "+3225551234", "+3225551234x55"},
		{"02 555 12 34", "", "", "02 555 12 34"},
		{"ext 123", "BE", "", "ext 123"},
		{"123", "BE", "", "123"},
		{"+1 (555) 010-9999", "", "", "+1 (555) 010-9999"},
		{"ask at the reception", "BE", "", ""},
		{strings.Repeat("1", 70), "BE", "", ""},
		{"", "BE", "", ""},
	} {
		t.Run(c.in, func(t *testing.T) {
			if got, why := Mobile(c.in, c.region); got != c.mobile || (why == "") != (got != "" || c.in == "") {
				t.Errorf("mobile %q, %q", got, why)
			}
			if got, why := Phone(c.in, c.region); got != c.phone || (why == "") != (got != "" || c.in == "") {
				t.Errorf("phone %q, %q", got, why)
			}
		})
	}
}

func TestLanguage(t *testing.T) {
	for in, want := range map[string]string{
		"nl": "nl", "NL": "nl", "nl-BE": "nl", "zh_CN": "zh", "pt-br": "pt", "eng": "en", "fr_FR.UTF-8": "fr", "de_DE@euro": "de",
		"de-CH, de;q=0.9": "de", "en;q=1": "en", "nl;q=0.1,fr;q=0.9": "fr", "en;q=0.8, de-DE": "de", "en;q=0,de;q=0.2,nl;q=0.2": "de", "*;q=0.5,fr": "fr", "English, US": "en", "fr;x": "fr", "fr; Q = 0.3": "fr", "Français": "fr", "FRANCAIS": "fr", "Dutch": "nl", "nederlands": "nl", "English": "en",
		"iw": "he", "tl": "tl", "TL": "tl", "tl-PH": "tl", "fil": "tl", "xx": "", "klingon": "", "tlh": "", "und": "", "12": "", "*": "",
	} {
		t.Run(in, func(t *testing.T) {
			if got, why := Language(in); got != want || (why == "") != (want != "") {
				t.Errorf("got %q, %q", got, why)
			}
		})
	}
}

func TestSlug(t *testing.T) {
	for in, want := range map[string]string{
		"Zoë O'Brien": "zoe-obrien", "Straße 7": "strasse-7", " -- Ångström_1.x -- ": "angstrom_1.x", "Œuvre Łódź": "oeuvre-lodz", "日本": "", "": "",
	} {
		if got := Slug(in); got != want {
			t.Errorf("%q: got %q", in, got)
		}
	}
}

func FuzzCleanValuesStayAsTheyAre(f *testing.F) {
	for _, s := range []string{"jane@Example.org", "0475 12 34 56", "+32 2 555 12 34 ext 7", "nl-BE", "Français", "Zoe\u0308", "İ@İ", "\u212a", "tel:+1", "a\u202e"} {
		f.Add(s, "BE")
		f.Add(s, "")
	}
	f.Fuzz(func(t *testing.T, s, region string) {
		if region != "" && !KnownRegion(region) {
			return
		}
		for name, form := range map[string]func(string) (string, string){
			"text": Text, "username": Username, "email": Email, "language": Language,
			"mobile": func(s string) (string, string) { return Mobile(s, region) },
			"phone":  func(s string) (string, string) { return Phone(s, region) },
			"slug":   func(s string) (string, string) { return Slug(s), "" },
		} {
			once, why := form(s)
			if why != "" && once != "" {
				t.Errorf("%s: %q gives both %q and %q", name, s, once, why)
			}
			if twice, why := form(once); twice != once || why != "" {
				t.Errorf("%s: %q, %q, then %q (%s)", name, s, once, twice, why)
			}
			if !utf8.ValidString(once) || utf8.RuneCountInString(once) > MaxText && name != "slug" {
				t.Errorf("%s: %q gives %q", name, s, once)
			}
			if name == "phone" && utf8.RuneCountInString(once) > MaxPhone {
				t.Errorf("phone: %q has 20 characters or more", once)
			}
		}
	})
}
