package simulator

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/simulator/tree"
	"rollcall.dev/rollcall/internal/simulator/wire"
)

// Sub-codes in the text of a refused bind: Windows errors in hexadecimal (MS-ERREF 2.2).
const (
	noSuchUser       = "525"
	wrongPassword    = "52e"
	logonHours       = "530"
	workstation      = "531"
	passwordExpired  = "532"
	accountDisabled  = "533"
	accountExpired   = "701"
	mustChange       = "773"
	accountLockedOut = "775"
)

// Bits of userAccountControl (MS-ADTS 2.2.16).
const (
	uacDisabled       = 0x2
	uacLockedOut      = 0x10
	uacNeverExpires   = 0x10000
	uacPasswordIsOver = 0x800000
)

// bind signs in by DN, user@domain, DOMAIN\user or <GUID=…>.
func (r *activeDirectory) bind(c *conn, b *wire.Bind) wire.Result {
	switch {
	case !b.Simple:
		return wire.Result{Code: wire.AuthMethodNotKnown, Text: "00002027: LdapErr: DSID-0C090600, comment: Invalid Authentication method, data 0, v4563\x00"}
	case b.Name == "" && b.Password == "":
		return wire.Result{}
	case b.Password == "" && r.p.DenyUnauthenticatedBind:
		return wire.Result{Code: wire.UnwillingToPerform, Text: "80090303: LdapErr: DSID-0C090FC3, comment: Unauthenticated simple bind is not allowed, data 0, v4563\x00"}
	case b.Password == "":
		return wire.Result{} // as nobody, whatever the name (RFC 4513, 5.1.2)
	case r.p.StrongAuth && !c.secure:
		return wire.Result{Code: 8, Text: "00002028: LdapErr: DSID-0C090259, comment: The server requires binds to turn on integrity checking if SSL\\TLS are not already active on the connection, data 0, v4563\x00"}
	}
	e, byDN := r.account(b.Name)
	if e == nil {
		// Whether a name that is no DN exists is not told.
		if byDN {
			return refusedBind(noSuchUser)
		}
		return refusedBind(wrongPassword)
	}
	if why := r.refuses(e, b.Password); why != "" {
		return refusedBind(why)
	}
	if r.p.Traces && e.First("lastLogonTimestamp") == "" {
		r.trace(e, tree.Replace("lastLogonTimestamp", fileTime(r.s.Tree.Now())))
	}
	c.signIn(e.DN, e.Key)
	return wire.Result{}
}

// refusedBind is how the directory says no. The text ends in a NUL, as it does there.
func refusedBind(why string) wire.Result {
	return wire.Result{Code: wire.InvalidCredentials, Text: "80090308: LdapErr: DSID-0C09050F, comment: AcceptSecurityContext error, data " + why + ", v4563\x00"}
}

// account finds who a name stands for.
func (r *activeDirectory) account(name string) (e *tree.Entry, byDN bool) {
	if user, ok := r.sam(name); ok {
		return r.findOne(func(e *tree.Entry) bool { return e.Has("sAMAccountName", user) }), false
	}
	if strings.Contains(name, "@") && !strings.Contains(name, "=") {
		user, realm, _ := strings.Cut(name, "@")
		return r.findOne(func(e *tree.Entry) bool {
			return e.Has("userPrincipalName", name) || strings.EqualFold(realm, r.dns) && e.Has("sAMAccountName", user)
		}), false
	}
	key, err := r.resolve(name)
	if err != nil || !strings.Contains(name, "=") {
		return nil, false
	}
	if e = r.s.Tree.Lookup(key); e != nil && (e.Buried || !e.Has("objectClass", "user")) {
		return nil, true
	}
	return e, true
}

// sam gives the user of DOMAIN\user.
func (r *activeDirectory) sam(name string) (string, bool) {
	realm, user, ok := strings.Cut(name, `\`)
	first, _, _ := strings.Cut(r.dns, ".")
	if !ok || strings.Contains(name, "=") || !strings.EqualFold(realm, first) && !strings.EqualFold(realm, r.dns) {
		return "", false
	}
	return user, true
}

func (r *activeDirectory) findOne(is func(*tree.Entry) bool) *tree.Entry {
	var found *tree.Entry
	r.s.Tree.Walk(r.contexts[0], tree.Sub, 0, func(e *tree.Entry) bool {
		if !e.Buried && e.Has("objectClass", "user") && is(e) {
			found = e
		}
		return found == nil
	})
	return found
}

// refuses says why an account may not sign in, or "". Apart from a lockout the
// reason is told to nobody but who knows the password.
func (r *activeDirectory) refuses(e *tree.Entry, password string) string {
	state := r.accountState(e)
	if state&uacLockedOut != 0 {
		return accountLockedOut
	}
	if !slices.Contains(e.Get("userPassword"), password) {
		r.wrong(e)
		return wrongPassword
	}
	control := bits(e, "userAccountControl")
	now := r.s.Tree.Now().UTC()
	expires := bits(e, "accountExpires")
	switch {
	case control&uacDisabled != 0:
		return accountDisabled
	case expires != 0 && e.First("accountExpires") != never && e.First("accountExpires") != "" && expires <= bitsOf(fileTime(now)):
		return accountExpired
	case !within(e.First("logonHours"), now):
		return logonHours
	case !mayUse(e.First("userWorkstations"), r.p.host()):
		return workstation
	case bits(e, "pwdLastSet") == 0 && control&uacNeverExpires == 0:
		return mustChange
	case state&uacPasswordIsOver != 0:
		return passwordExpired
	}
	return ""
}

// accountState is msDS-User-Account-Control-Computed (MS-ADTS 3.1.1.4.5.17).
func (r *activeDirectory) accountState(e *tree.Entry) int64 {
	state := int64(0)
	if bits(e, "lockoutTime") != 0 {
		state |= uacLockedOut
	}
	set := bits(e, "pwdLastSet")
	if bits(e, "userAccountControl")&uacNeverExpires == 0 && e.First("pwdLastSet") != "" {
		oldest := bitsOf(fileTime(r.s.Tree.Now().Add(-r.p.MaxPasswordAge)))
		if set == 0 || r.p.MaxPasswordAge > 0 && set < oldest {
			state |= uacPasswordIsOver
		}
	}
	return state
}

// wrong counts a wrong password.
func (r *activeDirectory) wrong(e *tree.Entry) {
	if !r.p.Traces && r.p.LockoutThreshold == 0 {
		return
	}
	n := bits(e, "badPwdCount") + 1
	mods := []tree.Mod{tree.Replace("badPwdCount", strconv.FormatInt(n, 10))}
	if r.p.LockoutThreshold > 0 && n >= int64(r.p.LockoutThreshold) {
		mods = append(mods, tree.Replace("lockoutTime", fileTime(r.s.Tree.Now())))
	}
	r.trace(e, mods...)
}

// trace writes what a bind leaves behind. Who is deleted meanwhile has no need of it.
func (r *activeDirectory) trace(e *tree.Entry, mods ...tree.Mod) {
	_ = r.s.Tree.Modify(e.DN, mods...) //nolint:errcheck // see above
}

func bitsOf(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// within reports whether logonHours allow a time: a bit for each hour of the
// week in UTC, from Sunday on, the lowest bit of a byte first.
func within(hours string, at time.Time) bool {
	if len(hours) != 21 {
		return true
	}
	hour := int(at.Weekday())*24 + at.Hour()
	return hours[hour/8]&(1<<(hour%8)) != 0
}

func mayUse(list, host string) bool {
	return list == "" || slices.ContainsFunc(strings.Split(list, ","), func(name string) bool { return strings.EqualFold(strings.TrimSpace(name), host) })
}

// extended says who is signed in as Active Directory writes it.
func (r *activeDirectory) extended(c *conn, e *wire.Extended) wire.Result {
	result := r.common.extended(c, e)
	if _, key := c.who(); result.Value != nil && key != "" {
		name := ""
		if who := r.s.Tree.Lookup(key); who != nil {
			first, _, _ := strings.Cut(r.dns, ".")
			name = "u:" + strings.ToUpper(first) + `\` + who.First("sAMAccountName")
		}
		result.Value = &name
	}
	return result
}
