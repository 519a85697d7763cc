package okta

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// errKey says no more: what cannot be read may be half of a key.
var errKey = errors.New("not a private RSA or EC key")

// parseKey reads a private key from a JWK or PEM text. No error holds any of it.
func parseKey(text string) (*jose.JSONWebKey, error) {
	text = strings.TrimSpace(text)
	var key jose.JSONWebKey
	if strings.HasPrefix(text, "{") {
		if json.Unmarshal([]byte(text), &key) != nil {
			return nil, errKey
		}
		return &key, sound(&key)
	}
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errKey
		}
		if block.Headers["DEK-Info"] != "" || block.Type == "ENCRYPTED PRIVATE KEY" {
			return nil, errors.New("the key is protected by a passphrase, which cannot be given here")
		}
		if k, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			key.Key = k
		} else if k, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
			key.Key = k
		} else if k, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
			key.Key = k
		} else {
			continue // the parameters of a curve, a certificate
		}
		return &key, sound(&key)
	}
}

func sound(key *jose.JSONWebKey) error {
	if !key.Valid() {
		return errKey
	}
	switch k := key.Key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < 2048 {
			return errors.New("an RSA key of fewer than 2048 bits")
		}
		return nil
	case *ecdsa.PrivateKey:
		return nil
	case *rsa.PublicKey, *ecdsa.PublicKey:
		return errors.New("the public key; the private one is wanted")
	}
	return errKey
}

// algorithm is the one a key signs with.
func algorithm(key *jose.JSONWebKey) jose.SignatureAlgorithm {
	if k, ok := key.Key.(*ecdsa.PrivateKey); ok {
		switch k.Curve.Params().BitSize {
		case 384:
			return jose.ES384
		case 521:
			return jose.ES512
		}
		return jose.ES256
	}
	return jose.RS256
}
