package ldap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"unicode"

	"github.com/go-ldap/ldap/v3"

	"rollcall.dev/rollcall/internal/fault"
)

// Result codes somebody acts on (RFC 4511, appendix A).
const (
	codeOperationsError     = 1
	codeProtocolError       = 2
	codeTimeLimit           = 3
	codeSizeLimit           = 4
	codeStrongerAuth        = 8
	codeReferral            = 10
	codeAdminLimit          = 11
	codeUnavailableCritical = 12
	codeConfidentiality     = 13
	codeConstraint          = 19
	codeNoSuchObject        = 32
	codeInvalidDN           = 34
	codeInappropriateAuth   = 48
	codeInvalidCredentials  = 49
	codeInsufficientAccess  = 50
	codeBusy                = 51
	codeUnavailable         = 52
	codeUnwilling           = 53
)

// resultError is a result code that is not success.
type resultError struct {
	code          int
	matched, text string
}

func (r result) err() *resultError {
	return &resultError{code: r.code, matched: clean(r.matched), text: clean(r.text)}
}

func (e *resultError) Error() string {
	name := strings.ToLower(ldap.LDAPResultCodeMap[uint16(e.code&0xffff)])
	if name == "" {
		name = fmt.Sprintf("result code %d", e.code)
	}
	if e.text != "" {
		return name + ": " + e.text
	}
	return name
}

// clean makes a server's text fit for a line of a log.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, "?"))
	text = strings.TrimSpace(text)
	if r := []rune(text); len(r) > 300 {
		text = string(r[:300]) + "…"
	}
	return text
}

// quoted is a name in quotes as it is: a backslash in a DN is one, and stays one.
func quoted(name string) string { return `"` + clean(name) + `"` }

// explain makes an error of a conn the caller's: what was being done, the
// cause, what kind it is and what to do.
func (s *settings) explain(doing string, err error) error {
	var r *resultError
	var dns *net.DNSError
	var oversize interface{ Timeout() bool }
	switch {
	case errors.As(err, &r) && !errors.Is(err, errNoTLS):
		return s.explainResult(doing, r)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fault.New(fault.Unavailable, "ldap: %s: %w", doing, err)
	case isTLS(err):
		reason, hint := s.explainTLS(err)
		return fault.New(fault.Invalid, "ldap: %s: %s%w", doing, reason, silentError{err}).WithHint("%s", hint)
	case errors.As(err, &dns):
		return fault.New(fault.Unavailable, "ldap: %s: the name %q cannot be resolved: %w", doing, dns.Name, err).
			WithHint("Check the spelling of the host, and that this machine's DNS knows it.")
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault.New(fault.Unavailable, "ldap: %s: nothing listens there: %w", doing, err).
			WithHint("Check host and port (389 for ldap://, 636 for ldaps://), and that the server runs.")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fault.New(fault.Unavailable, "ldap: %s: the server sent nothing for %s", doing, s.idle).
			WithHint("The server is busy or a firewall drops the connection. If it only needs longer, raise sync.idle_timeout.")
	case errors.As(err, &oversize) && oversize.Timeout():
		return fault.New(fault.Unavailable, "ldap: %s: no answer: %w", doing, err).
			WithHint("A firewall may be in between. Check host and port, and that this machine may connect there.")
	case errors.Is(err, errNoHandshake):
		return fault.New(fault.Unavailable, "ldap: %s: %w", doing, err).
			WithHint("The port may be a clear one: use ldap:// with tls.start_tls there, or the port of ldaps://, usually 636.")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fault.New(fault.Unavailable, "ldap: %s: the connection was cut: %w", doing, err).
			WithHint("The server or something between ended the connection. A server that wants TLS does so with clear connections: try ldaps://.")
	}
	return fault.New(fault.Unavailable, "ldap: %s: %w", doing, err)
}

// silentError keeps an error in the chain without repeating its text.
type silentError struct{ error }

func (silentError) Error() string   { return "" }
func (e silentError) Unwrap() error { return e.error }

func (s *settings) explainResult(doing string, r *resultError) error {
	kind, hint := fault.Unavailable, ""
	switch r.code {
	case codeOperationsError:
		kind, hint = fault.Denied, "Active Directory answers so when nobody is signed in: set bind_dn and bind_password."
	case codeProtocolError:
		kind = fault.Internal
	case codeStrongerAuth, codeConfidentiality:
		kind, hint = fault.Invalid, "The server wants an encrypted connection: use ldaps:// or set tls.start_tls."
	case codeUnavailableCritical:
		kind = fault.Invalid
	case codeNoSuchObject:
		kind, hint = fault.Invalid, "Check base_dn and groups.base_dn: the entry is not there, or the account may not see it."
		if r.matched != "" {
			hint += fmt.Sprintf(" The nearest one above it is %s.", quoted(r.matched))
		}
	case codeInvalidDN:
		kind, hint = fault.Invalid, "A DN looks like ou=people,dc=example,dc=org."
	case codeInappropriateAuth, codeInsufficientAccess:
		kind, hint = fault.Denied, "The account may not do this: give it the right to read people and groups below the base."
	case codeInvalidCredentials:
		kind, hint = fault.Denied, "Check bind_dn and bind_password, and that the account is neither locked nor expired."
		if why, todo := subCode(r.text); why != "" {
			hint = "The server says: " + why + ". " + todo
		}
	case codeUnwilling:
		kind, hint = fault.Denied, "The server knows what it was asked and refuses; its text says why."
	case codeReferral:
		kind, hint = fault.Invalid, "The base lies on another server: set addr to that one."
	}
	return fault.New(kind, "ldap: %s: %w", doing, r).WithHint("%s", hint)
}

var subCodePattern = regexp.MustCompile(`\bdata ([0-9a-f]+)\b`)

// subCode is what Active Directory says in the text of an invalidCredentials (a
// Win32 error in hexadecimal, MS-ERREF 2.2), and what to do. All but 525, 52e and
// 775 are told only to those who know the password.
func subCode(text string) (why, todo string) {
	s := subCodes[subCodeOf(text)]
	return s[0], s[1]
}

// subCodeOf is the code itself, "" where there is none.
func subCodeOf(text string) string {
	if m := subCodePattern.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

var subCodes = map[string][2]string{
	"525": {"there is no such account", "Check bind_dn: a DN, user@domain or DOMAIN\\user."},
	"52e": {"wrong name or password", "Check bind_dn and bind_password; each wrong attempt brings the account nearer to being locked."},
	"52f": {"the account may not sign in: it has no password, or a policy forbids it", "Look at the account's restrictions in Active Directory."},
	"530": {"the account may not sign in at this time", "Look at the account's logon hours in Active Directory, or read at another time."},
	"531": {"the account may not sign in from this machine", "Look at the account's list of workstations (\"Log On To\") in Active Directory."},
	"532": {"the password has expired", "Give the account a new password, and let it not expire: nobody will be there to change it."},
	"533": {"the account is disabled", "Enable it in Active Directory, or set bind_dn to another one."},
	"569": {"the account was not given the right to sign in there", "Look at the rights to sign in (\"Deny log on\") in the domain's policies."},
	"568": {"the account is in too many groups", "Take it out of groups it does not need: it has to read, no more."},
	"701": {"the account has expired", "Lift its end date in Active Directory."},
	"773": {"the password must be changed first", "Take away \"User must change password at next logon\" from the account, or sign in with it once and change it."},
	"775": {"the account is locked", "Unlock it in Active Directory, and look who tries its password: often another program still has the old one."},
}

// limitReason puts an answer that stopped early into words.
func limitReason(what string, entries int, r result) string {
	e := r.err()
	s := fmt.Sprintf("the server stopped after %d %s (%s)", entries, what, e)
	switch r.code {
	case codeSizeLimit:
		return s + "; ask the directory's administrator to lift the limit for this account, or narrow base_dn and sync.filter"
	case codeTimeLimit:
		return s + "; ask for a longer time limit for this account and for indexes on the attributes in the filter"
	case codeAdminLimit:
		return s + "; lower sync.page_size, or ask the directory's administrator to lift the limit for this account"
	case codeReferral:
		return s + "; it refers to " + clean(strings.Join(r.referrals, ", ")) + ", which is not followed"
	}
	return s
}
