package admins_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/admins"
)

const site = "https://id.example.com"

var b64 = base64.RawURLEncoding

// authenticator is somebody's security key, and the browser before it (WebAuthn,
// sections 6.1 and 7). What it does wrong is said by its fields.
type authenticator struct {
	key    *ecdsa.PrivateKey
	id     []byte
	handle []byte
	count  uint32
	origin string
	rp     string
	flags  byte // present and verified
}

func newAuthenticator(h *house) *authenticator {
	h.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	h.must(err)
	id := make([]byte, 16)
	_, err = rand.Read(id)
	h.must(err)
	return &authenticator{key: key, id: id, origin: site, rp: "id.example.com", flags: 0x05}
}

type offer struct {
	PublicKey struct {
		Challenge        string `json:"challenge"`
		RPID             string `json:"rpId"`
		UserVerification string `json:"userVerification"`
		User             struct {
			ID string `json:"id"`
		} `json:"user"`
		RP struct {
			ID string `json:"id"`
		} `json:"rp"`
		AuthenticatorSelection struct {
			UserVerification string `json:"userVerification"`
			ResidentKey      string `json:"residentKey"`
		} `json:"authenticatorSelection"`
		ExcludeCredentials []struct {
			ID string `json:"id"`
		} `json:"excludeCredentials"`
	} `json:"publicKey"`
	State string `json:"state"`
}

func (a *authenticator) data(flags byte) []byte {
	rp := sha256.Sum256([]byte(a.rp))
	out := append(rp[:], flags)
	return binary.BigEndian.AppendUint32(out, a.count)
}

func (a *authenticator) client(kind, challenge string) []byte {
	out, _ := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": a.origin, "crossOrigin": false})
	return out
}

// answer is the document of a second step.
func answer(o offer, id []byte, response map[string]any) []byte {
	out, _ := json.Marshal(map[string]any{"state": o.State, "credential": map[string]any{
		"id": b64.EncodeToString(id), "rawId": b64.EncodeToString(id), "type": "public-key", "response": response, "clientExtensionResults": map[string]any{}}})
	return out
}

// create makes a credential, with the attestation "none".
func (a *authenticator) create(h *house, document []byte) []byte {
	h.Helper()
	var o offer
	h.must(json.Unmarshal(document, &o))
	if o.PublicKey.RP.ID != "id.example.com" || o.PublicKey.AuthenticatorSelection.UserVerification != "required" || o.PublicKey.AuthenticatorSelection.ResidentKey != "required" {
		h.Errorf("%s", document)
	}
	handle, err := b64.DecodeString(o.PublicKey.User.ID)
	h.must(err)
	a.handle = handle
	public, err := a.key.PublicKey.Bytes() // 4, x, y
	h.must(err)
	// COSE: {1: 2, 3: -7, -1: 1, -2: x, -3: y}
	cose := append([]byte{0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20}, public[1:33]...)
	cose = append(append(cose, 0x22, 0x58, 0x20), public[33:]...)
	data := append(a.data(a.flags|0x40), make([]byte, 16)...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(a.id))) //nolint:gosec // 16
	data = append(append(data, a.id...), cose...)
	// CBOR: {"fmt": "none", "attStmt": {}, "authData": data}
	object := append([]byte{0xa3, 0x63}, "fmt"...)
	object = append(append(object, 0x64), "none"...)
	object = append(append(append(object, 0x67), "attStmt"...), 0xa0, 0x68)
	object = append(append(object, "authData"...), 0x58, byte(len(data)))
	object = append(object, data...)
	return answer(o, a.id, map[string]any{"clientDataJSON": b64.EncodeToString(a.client("webauthn.create", o.PublicKey.Challenge)), "attestationObject": b64.EncodeToString(object), "transports": []string{"usb"}})
}

// get signs a challenge.
func (a *authenticator) get(h *house, document []byte) []byte {
	h.Helper()
	var o offer
	h.must(json.Unmarshal(document, &o))
	if o.PublicKey.UserVerification != "required" || o.PublicKey.RPID != "id.example.com" {
		h.Errorf("%s", document)
	}
	data, client := a.data(a.flags), a.client("webauthn.get", o.PublicKey.Challenge)
	hash := sha256.Sum256(client)
	sum := sha256.Sum256(append(append([]byte{}, data...), hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, sum[:])
	h.must(err)
	return answer(o, a.id, map[string]any{"clientDataJSON": b64.EncodeToString(client), "authenticatorData": b64.EncodeToString(data),
		"signature": b64.EncodeToString(signature), "userHandle": b64.EncodeToString(a.handle)})
}

func (h *house) ask() []byte {
	h.Helper()
	document, err := h.AskPasskey()
	h.must(err)
	return document
}

// register gives the administrator of a session a passkey.
func (h *house) register(x *admins.Session) (*authenticator, []string) {
	h.Helper()
	key := newAuthenticator(h)
	document, err := h.OfferPasskey(h.Context(), x)
	h.must(err)
	recovery, err := h.AcceptPasskey(h.Context(), x, "YubiKey", key.create(h, document))
	h.must(err)
	return key, recovery
}

func TestAPasskeyIsBothFactors(t *testing.T) {
	both(t, func(h *house) {
		h.PublicURL = site
		h.make("eve@example.com", admins.Operator, "")
		x, elsewhere := h.enter("eve@example.com"), h.enter("eve@example.com")
		key, recovery := h.register(x)
		if len(recovery) != 10 {
			h.Error(recovery)
		}
		h.good(x.Token, true)
		h.good(elsewhere.Token, false)
		signIn := func(answer []byte) (*admins.Session, error) {
			return h.SignInWithPasskey(h.Context(), answer, home, "Firefox")
		}
		key.count++
		one, err := signIn(key.get(h, h.ask()))
		h.must(err)
		if a := h.good(one.Token, true); a.Email != "eve@example.com" || !a.SecondFactor || a.TOTP || one.Pending {
			h.Errorf("%+v", a)
		}
		// The password alone is not enough any more; a recovery code or the passkey is.
		half := h.enter("eve@example.com")
		if !half.Pending {
			h.Error("a password gets in without the passkey")
		}
		_, err = h.Complete(h.Context(), half.Token, "123456", home, "")
		h.refused(err, fault.Denied, "did not work")
		whole, err := h.Complete(h.Context(), half.Token, recovery[0], home, "")
		h.must(err)
		h.good(whole.Token, true)

		h.later(11 * time.Minute)
		if h.Fresh(h.again(x)) {
			h.Fatal("fresh after eleven minutes")
		}
		_, err = h.OfferPasskey(h.Context(), h.again(x))
		h.refused(err, fault.Denied, "once more")
		key.count++
		h.must(h.ConfirmWithPasskey(h.Context(), x.Token, key.get(h, h.ask())))
		if !h.Fresh(h.again(x)) {
			h.Error("not fresh after a confirmation")
		}
		list, err := h.ListPasskeys(h.Context(), x.Admin)
		h.must(err)
		if len(list) != 1 || list[0].Name != "YubiKey" || !list[0].UsedAt.Equal(h.clock) {
			h.Fatalf("%+v", list)
		}
		// The same key is not offered to be made twice.
		document, err := h.OfferPasskey(h.Context(), h.again(x))
		h.must(err)
		if !strings.Contains(string(document), list[0].ID) {
			h.Errorf("%s", document)
		}
		h.refused(h.RemovePasskey(h.Context(), h.again(x), "AAAA"), fault.NotFound, "no such passkey")
		h.must(h.RemovePasskey(h.Context(), h.again(x), list[0].ID))
		key.count++
		_, err = signIn(key.get(h, h.ask()))
		h.refused(err, fault.Denied, "did not work")
		if left, err := h.RecoveryLeft(h.Context(), x.Admin); left != 0 || err != nil {
			h.Error(left, err)
		}
		if h.enter("eve@example.com").Pending {
			h.Error("a factor is asked for that is gone")
		}
	})
}

func TestPasskeysThatDoNotWork(t *testing.T) {
	for name, c := range map[string]func(h *house, key *authenticator, a *admins.Administrator) []byte{
		"of another site": func(h *house, key *authenticator, _ *admins.Administrator) []byte {
			key.origin = "https://id.example.com.evil.example"
			return key.get(h, h.ask())
		},
		"for another name": func(h *house, key *authenticator, _ *admins.Administrator) []byte {
			key.rp = "evil.example"
			return key.get(h, h.ask())
		},
		"without the person having shown who they are": func(h *house, key *authenticator, _ *admins.Administrator) []byte {
			key.flags = 0x01
			return key.get(h, h.ask())
		},
		"that was copied": func(h *house, key *authenticator, _ *admins.Administrator) []byte {
			key.count = 3
			return key.get(h, h.ask())
		},
		"with another key": func(h *house, key *authenticator, _ *admins.Administrator) []byte {
			key.key = newAuthenticator(h).key
			return key.get(h, h.ask())
		},
		"of somebody else": func(h *house, key *authenticator, _ *admins.Administrator) []byte {
			key.handle = []byte(h.make("other@example.com", admins.Operator, "").ID)
			return key.get(h, h.ask())
		},
		"of nobody": func(h *house, key *authenticator, _ *admins.Administrator) []byte {
			key.handle = []byte("adm_\x00\xff")
			return key.get(h, h.ask())
		},
		"after five minutes": func(h *house, key *authenticator, _ *admins.Administrator) []byte {
			document := h.ask()
			h.later(5 * time.Minute)
			return key.get(h, document)
		},
		"for a challenge of its own": func(h *house, key *authenticator, _ *admins.Administrator) []byte {
			return []byte(strings.Replace(string(key.get(h, h.ask())), `"state":"`, `"state":"AA`, 1))
		},
		"of an administrator who is disabled": func(h *house, key *authenticator, a *admins.Administrator) []byte {
			h.make("boss@example.com", admins.Operator, "")
			_, err := h.Disable(h.Context(), console, a.ID)
			h.must(err)
			return key.get(h, h.ask())
		},
		"that was reset": func(h *house, key *authenticator, a *admins.Administrator) []byte {
			h.must(h.ResetSecondFactor(h.Context(), console, a.ID))
			return key.get(h, h.ask())
		},
		"by a challenge to make one": func(h *house, key *authenticator, a *admins.Administrator) []byte {
			x := h.enter("third@example.com")
			document, err := h.OfferPasskey(h.Context(), x)
			h.must(err)
			return []byte(strings.Replace(string(key.get(h, h.ask())), `"state":"`, `"state":"`+strings.Split(strings.Split(string(document), `"state":"`)[1], `"`)[0], 1))
		},
		"in no JSON": func(*house, *authenticator, *admins.Administrator) []byte { return []byte(`{"state":`) },
		"too large": func(h *house, key *authenticator, _ *admins.Administrator) []byte {
			return append(key.get(h, h.ask()), make([]byte, 1<<17)...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(h *house) {
				h.PublicURL = site
				a := h.make("eve@example.com", admins.Operator, "")
				h.make("third@example.com", admins.Operator, "")
				x := h.enter("eve@example.com")
				key, _ := h.register(x)
				key.count = 5
				good := key.get(h, h.ask())
				_, err := h.SignInWithPasskey(h.Context(), good, home, "")
				h.must(err)
				_, err = h.SignInWithPasskey(h.Context(), good, home, "")
				h.refused(err, fault.Denied, "did not work") // answered twice
				key.count = 6
				_, err = h.SignInWithPasskey(h.Context(), c(h, key, a), abroad, "curl")
				h.refused(err, fault.Denied, "did not work")
			})
		})
	}
}

func TestOneAnswerOfAPasskeyOpensOneSession(t *testing.T) {
	both(t, func(h *house) {
		h.PublicURL = site
		h.make("eve@example.com", admins.Operator, "")
		key, _ := h.register(h.enter("eve@example.com")) // whose count stays 0, as that of synchronised passkeys does
		document := key.get(h, h.ask())
		done := make(chan error)
		for range 4 {
			node := h.node()
			node.PublicURL = site
			go func() { _, err := node.SignInWithPasskey(h.Context(), document, home, ""); done <- err }()
		}
		in := 0
		for range 4 {
			if err := <-done; err == nil {
				in++
			} else {
				h.refused(err, fault.Denied, "did not work")
			}
		}
		if in != 1 {
			h.Errorf("%d sessions", in)
		}
		_, err := h.SignInWithPasskey(h.Context(), key.get(h, h.ask()), home, "")
		h.must(err)
	})
}

func TestAPasskeyIsMadeInTheSessionThatAskedForIt(t *testing.T) {
	both(t, func(h *house) {
		h.PublicURL = site
		h.make("eve@example.com", admins.Operator, "")
		h.make("mallory@example.com", admins.Operator, "")
		eve, mallory := h.enter("eve@example.com"), h.enter("mallory@example.com")
		key := newAuthenticator(h)
		document, err := h.OfferPasskey(h.Context(), mallory)
		h.must(err)
		made := key.create(h, document)
		_, err = h.AcceptPasskey(h.Context(), eve, "", made)
		h.refused(err, fault.Denied, "did not work")
		_, err = h.AcceptPasskey(h.Context(), mallory, "", made)
		h.must(err)
		_, err = h.AcceptPasskey(h.Context(), mallory, "", made)
		h.refused(err, fault.Denied, "did not work")
		h.refused(h.ConfirmWithPasskey(h.Context(), eve.Token, key.get(h, h.ask())), fault.Denied, "did not work")
		if n := h.count(event.AdminFactorChanged); n != 1 {
			h.Errorf("%d events", n)
		}
	})
}

func TestPasskeysNeedAName(t *testing.T) {
	both(t, func(h *house) {
		for address, want := range map[string]bool{site: true, "http://localhost:8080": true, "http://192.0.2.1:8080": false, "https://[2001:db8::1]": false, "": false, "http://127.0.0.1": false} {
			h.PublicURL = address
			if h.Passkeys() != want {
				h.Errorf("%q: %v", address, !want)
			}
			if _, err := h.AskPasskey(); (err == nil) != want {
				h.Errorf("%q: %v", address, err)
			}
		}
	})
}

// What a stranger sends for a credential never breaks anything.
func FuzzPasskeyAnswer(f *testing.F) {
	f.Add([]byte(`{"state":"AA","credential":{}}`))
	f.Add([]byte(`{"state":"","credential":null}`))
	f.Fuzz(func(t *testing.T, credential []byte) {
		admins.ParsePasskeyForTest(credential)
	})
}
