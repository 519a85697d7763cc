package people

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// staying is how many ticks a joiner of Tick stays.
const staying = 5

// Tick writes what happens in a company from one minute to the next, as LDIF: three
// people get new titles, somebody joins, and whoever joined five ticks before
// leaves. Ticks are numbered from 0 and never run out.
func Tick(w io.Writer, o Options, number int) (Changed, error) {
	o.fill()
	var c Changed
	if o.People == 0 {
		return c, fmt.Errorf("people: tick %d: nobody is there", number)
	}
	l := &ldif{w: bufio.NewWriter(w)}
	r := o.random(aChange, number)
	at := r.IntN(o.People)
	for range 3 {
		p := o.person(at)
		l.line("dn", p.dn)
		l.line("changetype", "modify")
		l.line("replace", "title")
		l.line("title", fmt.Sprintf("Senior %s %d", strings.ToLower(p.title), number+1))
		l.end()
		at = (at + 1 + r.IntN(max(1, o.People/4))) % o.People
		c.Titles++
	}
	joiner := o.person(o.People + number)
	joiner.manager = o.person(at).dn
	l.line("dn", joiner.dn)
	l.line("changetype", "add")
	l.line("objectClass", "inetOrgPerson")
	l.attributes(&joiner)
	l.end()
	c.Joiners++
	if number >= staying {
		l.line("dn", o.person(o.People+number-staying).dn)
		l.line("changetype", "delete")
		l.end()
		c.Leavers++
	}
	if err := l.w.Flush(); err != nil {
		return c, fmt.Errorf("people: write a tick: %w", err)
	}
	return c, nil
}
