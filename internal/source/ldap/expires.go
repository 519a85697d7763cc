package ldap

import "rollcall.dev/rollcall/internal/source"

// Expires tells when the client certificate runs out, where there is one.
func (s *ldapSource) Expires() []source.Expiry {
	var out []source.Expiry
	for _, c := range s.set.tls.Certificates {
		if c.Leaf != nil {
			out = append(out, source.Expiry{Name: "client certificate", At: c.Leaf.NotAfter})
		}
	}
	return out
}

var _ source.Expirer = (*ldapSource)(nil)
