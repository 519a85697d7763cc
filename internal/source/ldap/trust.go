package ldap

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// pinError is a server whose key is not the pinned one.
type pinError struct {
	got         [sha256.Size]byte
	certificate *x509.Certificate
}

func (e *pinError) Error() string {
	return "the server's public key is not the pinned one but " + hex.EncodeToString(e.got[:])
}

// isTLS is true of errors of TLS and of certificates, not of the network below.
func isTLS(err error) bool {
	var verify *tls.CertificateVerificationError
	var pin *pinError
	var header tls.RecordHeaderError
	var op *net.OpError
	return errors.As(err, &verify) || errors.As(err, &pin) || errors.As(err, &header) || errors.Is(err, errNoTLS) || errors.Is(err, errNoCertificate) ||
		errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error") || strings.HasPrefix(err.Error(), "tls: ")
}

// presented gives the certificates a refused server showed.
func presented(err error) []*x509.Certificate {
	var verify *tls.CertificateVerificationError
	if errors.As(err, &verify) {
		return verify.UnverifiedCertificates
	}
	var pin *pinError
	if errors.As(err, &pin) {
		return []*x509.Certificate{pin.certificate}
	}
	return nil
}

// explainTLS says why a server was not trusted, and what to do.
func (s *settings) explainTLS(err error) (reason, hint string) {
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var header tls.RecordHeaderError
	var pin *pinError
	switch {
	case errors.As(err, &pin):
		return pin.Error(), "If the server was given a new key, put this value into tls.pinned_sha256 after asking its administrator."
	case errors.As(err, &name):
		names := certificateNames(name.Certificate)
		if len(names) == 0 {
			return "the certificate is for no name at all, but " + name.Host + " was asked for", "Give the server a certificate with its name as subjectAltName, or pin its key with tls.pinned_sha256."
		}
		return fmt.Sprintf("the certificate is for %s, not %s", strings.Join(names, ", "), name.Host),
			fmt.Sprintf("Set tls.server_name to %s, if that is the server you mean.", names[0])
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		c := invalid.Cert
		if time.Now().Before(c.NotBefore) {
			return fmt.Sprintf("the certificate of %s is not valid before %s", c.Subject, day(c.NotBefore)), "Check this machine's clock."
		}
		return fmt.Sprintf("the certificate of %s expired on %s", c.Subject, day(c.NotAfter)), "The server needs a new certificate."
	case errors.As(err, &authority):
		top := authority.Cert
		if chain := presented(err); len(chain) > 0 {
			top = chain[len(chain)-1]
		}
		hint := "Put the certificate of that authority into a PEM file and name it in tls.ca_file."
		if s.tls.RootCAs != nil {
			hint = "The authorities in tls.ca_file are others: put the certificate of this one into it."
		}
		if top != nil {
			return fmt.Sprintf("the certificate is signed by %s, which is not trusted", top.Issuer), hint
		}
		return "the certificate is signed by an authority that is not trusted", hint
	case errors.As(err, &header):
		return "the server does not speak TLS on this port", "For a clear port use ldap:// with tls.start_tls; ldaps:// usually is port 636."
	case errors.Is(err, errNoCertificate):
		return err.Error(), "Set tls.cert_file and tls.key_file to a certificate the server knows."
	case errors.Is(err, errNoTLS):
		return err.Error(), "Use ldaps:// if the server has it, or ask its administrator for a certificate."
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "protocol version"):
		return text, "The server has no TLS 1.2 or newer, and older ones are not safe."
	case strings.Contains(text, "certificate required"), strings.Contains(text, "bad certificate"), strings.Contains(text, "handshake failure"), strings.Contains(text, "unknown certificate"):
		return text, "The server may want a client certificate it knows: set tls.cert_file and tls.key_file."
	}
	return text, "Check that the port speaks TLS, and the certificate of the server."
}

func certificateNames(c *x509.Certificate) []string {
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// describe prints the chain a server showed, a line for each certificate.
func describe(chain []*x509.Certificate) string {
	var lines []string
	for i, c := range chain {
		line := fmt.Sprintf("%s, issued by %s, valid until %s", c.Subject, c.Issuer, day(c.NotAfter))
		if i == 0 {
			d := keyDigest(c)
			line += ", for " + strings.Join(certificateNames(c), ", ") + "; public key SHA-256 " + hex.EncodeToString(d[:])
		}
		lines = append(lines, line)
	}
	return clipLines(lines)
}

func clipLines(lines []string) string {
	const most = 10
	if len(lines) > most {
		lines = append(lines[:most:most], fmt.Sprintf("and %d more", len(lines)-most))
	}
	return strings.Join(lines, "\n")
}
