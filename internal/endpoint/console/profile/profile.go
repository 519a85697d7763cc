// Package profile is the part of the console where administrators look after
// themselves: password, second factor, passkeys and sessions. It also asks for the
// password or a code again before what is dangerous.
package profile

import (
	"embed"
	"io/fs"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/endpoint/console/shell"
	"rollcall.dev/rollcall/internal/endpoint/console/signed"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/admins"
)

//go:embed *.html
var templates embed.FS

//go:embed assets
var files embed.FS

type section struct{ admins *admins.Admins }

// Section is this part of the console.
func Section(a *admins.Admins) (shell.Section, error) {
	assets, err := fs.Sub(files, "assets")
	s := section{a}
	return shell.Section{Name: "profile", Templates: templates, Assets: assets, Routes: []shell.Route{
		{Pattern: "GET /profile", Handle: s.show},
		{Pattern: "POST /profile/password", Handle: s.password},
		{Pattern: "POST /profile/app", Handle: s.offerApp},
		{Pattern: "POST /profile/app/accept", Handle: s.acceptApp},
		{Pattern: "POST /profile/app/remove", Handle: s.removeApp},
		{Pattern: "POST /profile/recovery", Handle: s.recovery},
		{Pattern: "POST /profile/passkeys/offer", Handle: s.offerPasskey},
		{Pattern: "POST /profile/passkeys", Handle: s.acceptPasskey},
		{Pattern: "POST /profile/passkeys/remove", Handle: s.removePasskey},
		{Pattern: "POST /profile/sessions", Handle: s.revoke},
		{Pattern: "GET /confirm", Handle: s.askConfirm},
		{Pattern: "POST /confirm", Handle: s.confirm},
		{Pattern: "POST /confirm/passkey", Handle: s.confirmByPasskey},
	}}, err
}

const home = "/profile"

type page struct {
	Admin    *admins.Administrator
	Fresh    bool
	Usable   bool // browsers can use passkeys here
	Passkeys []*admins.Passkey
	Codes    int64 // recovery codes that are left
	Sessions []session
	Name     string // of the passkey to be made
	Trouble  *shell.Trouble
	At       string // the form the trouble is about
}

// session is one as it is shown.
type session struct {
	*admins.Session
	This    bool
	Browser string
}

func (s section) show(q *shell.Ask) error { return s.answer(q, "", nil) }

// answer shows the page, with what is wrong with one of its forms.
func (s section) answer(q *shell.Ask, at string, wrong error) error {
	ctx := q.R.Context()
	in, err := signed.Who(q, s.admins)
	if err != nil {
		return err
	}
	if signed.Stale(wrong) {
		signed.Again(q, home)
		return nil
	}
	p := page{Admin: in.Admin, Fresh: s.admins.Fresh(in.Session), Usable: s.admins.Passkeys(), At: at, Trouble: Problem(q, wrong), Name: q.R.PostFormValue("name")}
	if p.Passkeys, err = s.admins.ListPasskeys(ctx, in.Admin.ID); err != nil {
		return err
	}
	if p.Codes, err = s.admins.RecoveryLeft(ctx, in.Admin.ID); err != nil {
		return err
	}
	list, err := s.admins.Sessions(ctx, in.By, in.Admin.ID)
	if err != nil {
		return err
	}
	for _, one := range list {
		p.Sessions = append(p.Sessions, session{one, one.ID == in.Session.ID, Browser(one.Agent)})
	}
	if wrong != nil {
		return q.Refused("profile", "Your account", p)
	}
	return q.Page("profile", "Your account", p)
}

// Problem is an error as pages show it, with how long to wait where there were too
// many tries; nil for none.
func Problem(q *shell.Ask, err error) *shell.Trouble {
	t := q.Problem(err)
	if wait, ok := admins.Waits(err); ok {
		t.Text, t.Hint = "Too many tries.", "Try again in "+shell.Length(wait.Round(time.Second))+"."
	}
	return t
}

func (s section) password(q *shell.Ask) error {
	fresh := q.R.PostFormValue("password")
	if fresh != q.R.PostFormValue("again") {
		return s.answer(q, "password", fault.New(fault.Invalid, "the two new passwords are not the same"))
	}
	if err := s.admins.ChangePassword(q.R.Context(), q.Token(), q.R.PostFormValue("old"), fresh); err != nil {
		return s.answer(q, "password", err)
	}
	q.Say(home, "Your password is another one now. All your other sessions have ended.")
	return nil
}

func (s section) recovery(q *shell.Ask) error {
	in, err := signed.Who(q, s.admins)
	if err != nil {
		return err
	}
	codes, err := s.admins.NewRecoveryCodes(q.R.Context(), in.Session)
	if err != nil {
		return s.answer(q, "recovery", err)
	}
	return q.Page("codes", "Recovery codes", codesPage{Codes: codes})
}

type codesPage struct {
	Said  string
	Codes []string
}

// Text is all codes, to be copied.
func (p codesPage) Text() string { return strings.Join(p.Codes, "\n") }

// done says what was done, and shows recovery codes where there are new ones.
func done(q *shell.Ask, said string, codes []string) error {
	if len(codes) == 0 {
		q.Say(home, said)
		return nil
	}
	return q.Page("codes", "Recovery codes", codesPage{said, codes})
}

func (s section) revoke(q *shell.Ask) error {
	in, err := signed.Who(q, s.admins)
	if err != nil {
		return err
	}
	if id := q.R.PostFormValue("id"); id != "" {
		if err := s.admins.Revoke(q.R.Context(), in.By, in.Admin.ID, id); err != nil {
			return s.answer(q, "sessions", err)
		}
		q.Say(home, "The session has ended.")
		return nil
	}
	but, said := in.Session.ID, "Your other sessions have ended."
	if q.R.PostFormValue("all") != "" {
		but = ""
	}
	if _, err := s.admins.RevokeOthers(q.R.Context(), in.By, in.Admin.ID, but); err != nil {
		return s.answer(q, "sessions", err)
	}
	if but == "" {
		q.Leave()
		q.Say("/signin", "You are signed out everywhere.")
		return nil
	}
	q.Say(home, said)
	return nil
}

// Browser is what people call the browser of a User-Agent: its name and the system.
// Whatever it is taken for, nothing depends on it.
func Browser(agent string) string {
	found := func(pairs ...string) string {
		for i := 0; i < len(pairs); i += 2 {
			if strings.Contains(agent, pairs[i]) {
				return pairs[i+1]
			}
		}
		return ""
	}
	name := found("Edg", "Edge", "OPR/", "Opera", "Firefox/", "Firefox", "Chrom", "Chrome", "Safari/", "Safari", "curl/", "curl")
	system := found("iPhone", "iPhone", "iPad", "iPad", "Android", "Android", "Windows", "Windows", "Mac OS X", "macOS", "CrOS", "ChromeOS", "Linux", "Linux")
	switch {
	case name != "" && system != "":
		return name + " on " + system
	case name+system != "":
		return name + system
	case agent != "":
		return "another program"
	}
	return "unknown"
}
