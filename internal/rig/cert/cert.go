// Package cert makes the certificate authority and the certificates of a test's
// server and hands them on as PEM files, and as PKCS #12 for servers that want
// that.
package cert

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Make writes ca.crt, ca.key, server.crt and server.key into dir, valid from an
// hour ago for ninety days. The server's is for the names and addresses given.
func Make(dir string, hosts ...string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("rig: make a folder for certificates: %w", err)
	}
	ca := template(1, "Rollcall rig CA")
	ca.IsCA, ca.BasicConstraintsValid = true, true
	ca.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	key, err := write(dir, "ca", ca, ca, nil)
	if err != nil {
		return err
	}
	server := template(2, hosts[0])
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			server.IPAddresses = append(server.IPAddresses, ip)
		} else {
			server.DNSNames = append(server.DNSNames, host)
		}
	}
	_, err = write(dir, "server", server, ca, key)
	return err
}

func template(serial int64, name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(90 * 24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
}

// write signs a certificate and writes name.crt and name.key; without the
// signer's key it signs itself.
func write(dir, name string, template, signer *x509.Certificate, signerKey *ecdsa.PrivateKey) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("rig: make a key: %w", err)
	}
	if signerKey == nil {
		signerKey = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, &key.PublicKey, signerKey)
	if err != nil {
		return nil, fmt.Errorf("rig: sign the certificate %s: %w", name, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("rig: encode a key: %w", err)
	}
	for _, f := range []struct {
		name string
		mode os.FileMode // Samba refuses a key that others may read
		pem.Block
	}{
		{name + ".crt", 0o644, pem.Block{Type: "CERTIFICATE", Bytes: der}},
		{name + ".key", 0o600, pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}},
	} {
		if err := os.WriteFile(filepath.Join(dir, f.name), pem.EncodeToMemory(&f.Block), f.mode); err != nil {
			return nil, fmt.Errorf("rig: write %s: %w", f.name, err)
		}
	}
	return key, nil
}

// PKCS12 writes server.p12 beside the files of Make: certificate, key and CA
// under an alias, closed by a password that is no secret.
func PKCS12(ctx context.Context, dir, alias, password string) error {
	at := func(name string) string { return filepath.Join(dir, name) }
	out, err := exec.CommandContext(ctx, "openssl", "pkcs12", "-export", "-in", at("server.crt"), "-inkey", at("server.key"),
		"-certfile", at("ca.crt"), "-name", alias, "-passout", "pass:"+password, "-out", at("server.p12")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("rig: openssl pkcs12: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}
