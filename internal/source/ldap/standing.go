package ldap

import (
	"fmt"
	"strings"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
)

// What a server says of a password is one number for most reasons, 49. The rest is
// in a control (draft-behera-ldap-password-policy), in the words beside the number
// (Active Directory), or not told at all.

// policy is what a server says of its rules for passwords beside the result.
type policy struct {
	error   int // policyError, -1 for none
	expires int // seconds until the password is too old, -1 where that is not said
	grace   int // sign-ins that are left to a password that is too old, -1 where that is not said
	over    bool
}

// Errors of the control that a bind may come to (6.2 there).
const (
	policyExpired    = 0
	policyLocked     = 1
	policyMustChange = 2
)

// decodePolicy reads the controls of an answer to a bind.
func decodePolicy(controls cursor) (policy, error) {
	p := policy{error: -1, expires: -1, grace: -1}
	var err error
	if _, p.over, err = findControl(controls, oidPasswordExpired); err != nil {
		return p, err
	}
	value, found, err := findControl(controls, oidPasswordPolicy)
	if err != nil || !found || len(value) == 0 {
		return p, err
	}
	v, err := value.take(tagSequence)
	for err == nil && len(v) > 0 {
		var tag byte
		var content cursor
		whole := v
		if tag, content, err = v.next(); err != nil {
			break
		}
		switch tag {
		case 0xa0: // a warning: one of two numbers
			if strings.HasPrefix(string(content), "\x80") {
				p.expires, err = content.integer(0x80)
			} else {
				p.grace, err = content.integer(0x81)
			}
		case 0x81:
			p.error, err = whole.integer(0x81)
		}
	}
	return p, err
}

// says puts the control into words.
func (p policy) says() string {
	words := []string{}
	switch p.error {
	case policyExpired:
		words = append(words, "the password has expired")
	case policyLocked:
		words = append(words, "the account is locked")
	case policyMustChange:
		words = append(words, "the password must be changed first")
	case -1:
	default:
		words = append(words, fmt.Sprintf("password policy error %d", p.error))
	}
	if p.over && p.error < 0 {
		words = append(words, "the password has expired")
	}
	if p.expires >= 0 {
		words = append(words, fmt.Sprintf("the password expires in %d seconds", p.expires))
	}
	if p.grace >= 0 {
		words = append(words, fmt.Sprintf("the password has expired, and %d more sign-ins are granted", p.grace))
	}
	return strings.Join(words, "; ")
}

// verdict is how a server takes a bind.
type verdict struct {
	standing source.Standing
	right    bool
	detail   string
}

// judge puts the answer to a bind into a standing. What is no answer about the
// password is an error.
func (s *settings) judge(at server, r result, p policy) (verdict, error) {
	v := verdict{detail: p.says()}
	if r.code != 0 {
		v.detail = r.err().Error()
		if words := p.says(); words != "" {
			v.detail += " (" + words + ")"
		}
	}
	switch r.code {
	case 0:
		v.standing, v.right = p.ofRight(), true
	case codeInvalidCredentials:
		v.standing, v.right = p.ofWrong()
		if code := subCodeOf(r.text); code != "" && v.standing == source.Wrong {
			v.standing, v.right = ofSubCode(code)
			if why, _ := subCode(r.text); why != "" {
				v.detail += " (" + why + ")"
			}
		}
	case codeInappropriateAuth, codeNoSuchObject:
		// The entry has no password, or has gone meanwhile.
		v.standing = source.Wrong
	case codeConstraint:
		// 389 Directory Server has no other way to say it.
		if p.error != policyLocked && !strings.Contains(strings.ToLower(r.text), "retry limit") {
			return v, s.explain("try a password on "+at.String(), r.err())
		}
		v.standing = source.Locked
	case codeUnwilling:
		// 389 Directory Server says it of an account with nsAccountLock, whatever the
		// password is.
		if p.error != policyLocked && !strings.Contains(strings.ToLower(r.text), "inactivated") {
			return v, s.explain("try a password on "+at.String(), r.err())
		}
		v.standing = source.Disabled
	case codeReferral:
		to := clean(strings.Join(r.referrals, ", "))
		return v, fault.New(fault.Unavailable, "ldap: try a password on %s: the server refers to %s, which is not followed", at, to).
			WithHint("The people lie on another server: set addr to that one.")
	default:
		return v, s.explain("try a password on "+at.String(), r.err())
	}
	return v, nil
}

// ofRight is the standing of somebody the server has let in.
func (p policy) ofRight() source.Standing {
	switch {
	case p.error == policyMustChange, p.over:
		return source.MustChange
	case p.error == policyExpired:
		return source.Expired
	case p.error == policyLocked:
		return source.Locked
	}
	return source.Proved
}

// ofWrong is the standing of somebody the server has not let in. That a password
// has expired is found out after it was compared.
func (p policy) ofWrong() (source.Standing, bool) {
	switch {
	case p.error == policyLocked:
		return source.Locked, false
	case p.error == policyMustChange:
		return source.MustChange, true
	case p.error == policyExpired, p.over:
		return source.Expired, true
	}
	return source.Wrong, false
}

// ofSubCode is the standing Active Directory's words stand for. All but 52e, 525,
// 52f and 775 are told only to those who know the password.
func ofSubCode(code string) (source.Standing, bool) {
	switch code {
	case "530", "531", "569", "568":
		return source.NotHere, true
	case "52f":
		return source.NotHere, false
	case "532":
		return source.Expired, true
	case "533":
		return source.Disabled, true
	case "701":
		return source.Ended, true
	case "773":
		return source.MustChange, true
	case "775":
		return source.Locked, false
	}
	return source.Wrong, false
}
