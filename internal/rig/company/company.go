// Package company is a made-up company in a simulated directory, which changes as
// companies do: people join and leave, and get new titles. It hands the server's
// address on to the demonstration and to tests that want a directory that moves.
package company

import (
	"bytes"
	"fmt"

	"rollcall.dev/rollcall/internal/rig/people"
	"rollcall.dev/rollcall/internal/simulator"
)

// Company is a running directory.
type Company struct {
	*simulator.Server
	Suffix   string
	BindDN   string
	Password string
	people   people.Options
	tick     int
}

// Start brings one up, as OpenLDAP would serve it.
func Start(o people.Options) (*Company, error) {
	c := &Company{Suffix: "dc=example,dc=org", Password: "secret", people: o}
	c.BindDN = "cn=admin," + c.Suffix
	var err error
	c.Server, err = simulator.Start(simulator.Options{Personality: &simulator.OpenLDAP{Suffix: c.Suffix, SizeLimit: -1, SessionLog: 10_000}})
	if err != nil {
		return nil, err
	}
	var ldif bytes.Buffer
	if _, err := people.Write(&ldif, o); err != nil {
		return nil, err
	}
	// The server has the entry at the top, and the folders, already.
	for _, folder := range []string{"ou=people,", "ou=groups,"} {
		if err := c.Tree.Delete(folder + c.Suffix); err != nil {
			return nil, fmt.Errorf("company: %w", err)
		}
	}
	_, below, _ := bytes.Cut(ldif.Bytes(), []byte("\n\n"))
	if err := c.Tree.Load(bytes.NewReader(withPasswords(below))); err != nil {
		return nil, fmt.Errorf("company: %w", err)
	}
	return c, nil
}

// Tick lets a minute's worth happen.
func (c *Company) Tick() (people.Changed, error) {
	var ldif bytes.Buffer
	what, err := people.Tick(&ldif, c.people, c.tick)
	if err != nil {
		return what, err
	}
	c.tick++
	return what, c.Tree.Load(bytes.NewReader(withPasswords(ldif.Bytes())))
}

// Everybodys is the password of everybody who works there.
const Everybodys = "open sesame"

func withPasswords(ldif []byte) []byte {
	const person = "objectClass: inetOrgPerson\n"
	return bytes.ReplaceAll(ldif, []byte(person), []byte(person+"userPassword: "+Everybodys+"\n"))
}
