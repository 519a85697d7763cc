package setting

import "time"

// SignIn is how the people of all organizations sign in, and for how long.
type SignIn struct {
	SessionIdle time.Duration // who does nothing for so long is signed out
	SessionMax  time.Duration // everybody is after so long
	// Tries is how many wrong passwords for one person are let through before there
	// are waits, each twice as long as the one before.
	Tries                  int
	FirstWait, LongestWait time.Duration
	// LockAfter so many the wait is LockFor at least: few enough, and long enough,
	// that the directory does not lock the person out.
	LockAfter int
	LockFor   time.Duration
	// AddressTries is Tries for all that come from one network address.
	AddressTries int
	Timeout      time.Duration // for what the directory is asked
	AtOnce       int           // how many sign-ins of one connection go on at a time, on each node
	ChangeFirst  bool          // accounts that no connection keeps: see ConnectionSignIn
}

// DefaultSignIn is in force where a file says nothing. Active Directory and Samba
// lock people out after five wrong passwords in half an hour where they do at all.
func DefaultSignIn() SignIn {
	return SignIn{SessionIdle: 12 * time.Hour, SessionMax: 7 * 24 * time.Hour, Tries: 3, FirstWait: 5 * time.Minute, LongestWait: time.Hour,
		LockAfter: 4, LockFor: 30 * time.Minute, AddressTries: 30, Timeout: 10 * time.Second, AtOnce: 32}
}

// ConnectionSignIn is how the people of one connection sign in.
type ConnectionSignIn struct {
	Enabled bool
	Domains []string // whoever has an e-mail address there is led to this connection
	// ShowReasons tells people whose password was right why they are not let in.
	ShowReasons bool
	// ChangeFirst asks for a password of their own from people who still have the one
	// that the directory gave.
	ChangeFirst bool
}

// DefaultConnectionSignIn is in force where a file says nothing.
func DefaultConnectionSignIn() ConnectionSignIn {
	return ConnectionSignIn{Enabled: true, ShowReasons: true}
}
