package notify

import (
	"crypto/tls"
	"encoding/pem"
	"net"
)

func pemOf(certificate []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
}

func tlsListener(l net.Listener, config *tls.Config) net.Listener { return tls.NewListener(l, config) }
