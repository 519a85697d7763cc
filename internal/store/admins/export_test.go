package admins

import "github.com/go-webauthn/webauthn/protocol"

// ParsePasskeyForTest reads what a browser sends, as both second steps do.
func ParsePasskeyForTest(credential []byte) {
	_, _ = protocol.ParseCredentialRequestResponseBytes(credential)
	_, _ = protocol.ParseCredentialCreationResponseBytes(credential)
}
