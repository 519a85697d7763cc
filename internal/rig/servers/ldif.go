package servers

import (
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
)

// entry is an entry on its way into a server.
type entry struct {
	dn         string
	attributes []ldap.Attribute
}

func (e *entry) add(name string, values ...string) {
	for _, v := range values {
		if v == "" {
			return
		}
	}
	if len(values) > 0 {
		e.attributes = append(e.attributes, ldap.Attribute{Type: name, Vals: values})
	}
}

// ldif writes entries in the form of RFC 2849.
func ldif(entries []entry) string {
	var b strings.Builder
	line := func(name, value string) {
		if plain(value) {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		} else {
			fmt.Fprintf(&b, "%s:: %s\n", name, base64.StdEncoding.EncodeToString([]byte(value)))
		}
	}
	for _, e := range entries {
		line("dn", e.dn)
		for _, a := range e.attributes {
			for _, v := range a.Vals {
				line(a.Type, v)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// plain values stand in LDIF as they are.
func plain(value string) bool {
	if value == "" {
		return true
	}
	for i := range len(value) {
		if c := value[i]; c >= utf8.RuneSelf || c < ' ' {
			return false
		}
	}
	return !strings.ContainsRune(" :<", rune(value[0])) && value[len(value)-1] != ' '
}

func rdn(attribute, value string) string { return attribute + "=" + ldap.EscapeDN(value) }
