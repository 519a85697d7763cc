package people

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Changed counts the changes written, by kind.
type Changed struct {
	Titles  int // people with a new title
	Leavers int // people who are gone; groups go on listing them
	Joiners int // new people, in no group
	Renames int // people with a new uid, and with it a new DN
}

// Changes writes n changes to the directory that Write made of the same
// options, as LDIF for ldapmodify: of a hundred 84 new titles, 6 leavers, 6
// joiners and 4 new names. Rounds are numbered from 0; no round touches a
// person that another one did, as long as there are people left.
func Changes(w io.Writer, o Options, n, round int) (Changed, error) {
	o.fill()
	var c Changed
	if o.People == 0 || (round+1)*n > o.People {
		return c, fmt.Errorf("people: round %d of %d changes needs more than %d people", round, n, o.People)
	}
	l := &ldif{w: bufio.NewWriter(w)}
	// One walk over everybody for all rounds.
	walk := o.random(aChange, 0)
	start, step := walk.IntN(o.People), stride(walk, o.People)
	for k := range n {
		at := (start + (round*n+k)*step) % o.People
		p := o.person(at)
		switch k % 50 {
		case 10, 25, 40:
			l.line("dn", p.dn)
			l.line("changetype", "delete")
			c.Leavers++
		case 5, 20, 35:
			joiner := o.person(o.People + round*n + k)
			joiner.manager = p.dn
			l.line("dn", joiner.dn)
			l.line("changetype", "add")
			l.line("objectClass", "inetOrgPerson")
			l.attributes(&joiner)
			c.Joiners++
		case 15, 45:
			l.line("dn", p.dn)
			l.line("changetype", "modrdn")
			l.line("newrdn", fmt.Sprintf("uid=%s-%d", p.uid, round+1))
			l.line("deleteoldrdn", "1")
			c.Renames++
		default:
			l.line("dn", p.dn)
			l.line("changetype", "modify")
			l.line("replace", "title")
			l.line("title", fmt.Sprintf("Senior %s %d", strings.ToLower(p.title), round+1))
			c.Titles++
		}
		l.end()
	}
	if err := l.w.Flush(); err != nil {
		return c, fmt.Errorf("people: write changes: %w", err)
	}
	return c, nil
}
