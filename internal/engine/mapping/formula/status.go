package formula

import (
	"strconv"
	"strings"
	"time"
)

const (
	active   = "active"
	disabled = "disabled"
)

// filetimeEpoch is 1 January 1970 in Active Directory's time: units of 100 ns
// since 1 January 1601 (MS-DTYP 2.3.3).
const filetimeEpoch = 116444736000000000

// adStatus reads Active Directory's userAccountControl, whose bit 2 is
// ACCOUNTDISABLE (MS-ADTS 2.2.16), and accountExpires, where 0 and the largest
// number both mean never (MS-ADA1 2.2).
func adStatus(a ...any) (any, error) {
	f := a[0].(*Frame)
	if flags, err := strconv.ParseInt(strings.TrimSpace(Text(a[1])), 10, 64); err == nil && flags&2 != 0 {
		f.Why = "userAccountControl says disabled"
		return disabled, nil
	}
	if len(a) < 3 {
		return active, nil
	}
	n, err := strconv.ParseInt(strings.TrimSpace(Text(a[2])), 10, 64)
	if err != nil || n <= 0 || n == 1<<63-1 {
		return active, nil
	}
	at := time.Unix((n-filetimeEpoch)/1e7, (n-filetimeEpoch)%1e7*100).UTC()
	return f.expiry("accountExpires", at), nil
}

// expiry is the status of an account that ends at a time.
func (f *Frame) expiry(attribute string, at time.Time) string {
	if !f.Now.Before(at) {
		f.Why = attribute + " says expired on " + at.Format(time.DateOnly)
		return disabled
	}
	// A review further away than a year-9999 date cannot be stored or shown.
	if at.Year() <= 9999 && (f.ReviewAt.IsZero() || at.Before(f.ReviewAt)) {
		f.ReviewAt = at
	}
	return active
}

// lockStatus reads nsAccountLock of 389 Directory Server and its kin.
func lockStatus(a ...any) (any, error) {
	f := a[0].(*Frame)
	if truth(Text(a[1])) {
		f.Why = "nsAccountLock says disabled"
		return disabled, nil
	}
	return active, nil
}

// denyStatus reads the mark of people in a deny group, which is how Domino locks
// somebody out.
func denyStatus(a ...any) (any, error) {
	f := a[0].(*Frame)
	if truth(Text(a[1])) {
		f.Why = "a deny group has them in it"
		return disabled, nil
	}
	return active, nil
}

// ldapStatus reads pwdAccountLockedTime (draft-behera-ldap-password-policy: year
// 0 is locked for good, a real time is a lock that passes and no leaver),
// shadowExpire (days since 1970, -1 never; shadow(5)) and loginDisabled.
func ldapStatus(a ...any) (any, error) {
	f := a[0].(*Frame)
	if strings.HasPrefix(strings.TrimSpace(Text(a[1])), "00000101") {
		f.Why = "pwdAccountLockedTime says locked for good"
		return disabled, nil
	}
	if len(a) > 3 && truth(Text(a[3])) {
		f.Why = "loginDisabled says disabled"
		return disabled, nil
	}
	if len(a) < 3 {
		return active, nil
	}
	days, err := strconv.ParseInt(strings.TrimSpace(Text(a[2])), 10, 32)
	if err != nil || days < 0 {
		return active, nil
	}
	return f.expiry("shadowExpire", time.Unix(days*86400, 0).UTC()), nil
}

func truth(s string) bool {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "true", "1", "yes":
		return true
	}
	return false
}
