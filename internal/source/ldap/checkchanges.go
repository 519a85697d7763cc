package ldap

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/source"
)

// denied counts who is in the deny groups, where there are such groups.
func (d *doctor) denied(c *conn, root *rootDSE) bool {
	if len(d.set.deny) == 0 {
		return true
	}
	d.begin()
	r, err := newReading(c, d.set, root, nil, nil)
	if err == nil {
		err = r.readDenied()
	}
	if err != nil {
		d.fail("deny groups", source.Fail, err)
		return false
	}
	d.say("deny groups", source.OK, fmt.Sprintf("%d entries are in them, groups and those in these included", len(r.denied)), "")
	return true
}

// changes tells how later readings find out what changed, and what they do not
// see. The way is tried, as far as that goes before there are changes.
func (d *doctor) changes(c *conn, root *rootDSE) {
	d.begin()
	r, err := newReading(c, d.set, root, nil, nil)
	var halves []*half
	if err == nil {
		halves, err = r.halves()
	}
	if err != nil {
		d.fail("changes", source.Warn, err)
		return
	}
	chosen := r.choose()
	var lines []string
	for _, t := range chosen.trackers {
		err := t.begin(r, &bookmark{}, halves)
		if err == nil {
			var how []string
			if how, err = r.describe(t, chosen.why, halves); err == nil {
				d.say("changes", source.OK, strings.Join(append(lines, how...), "\n"), "")
				return
			}
		}
		var no *unusable
		if !errors.As(err, &no) {
			d.fail("changes", source.Warn, err)
			return
		}
		lines = append(lines, fmt.Sprintf("not by %s: %s", t.name(), no.why))
		if c.stale {
			break // nothing more can be asked here; a reading connects anew
		}
	}
	verdict := source.OK
	if len(chosen.trackers) > 0 || c.srv.catalog() || d.set.method != methodAuto && d.set.method != methodOff {
		verdict = source.Warn // not as it was meant
	}
	if len(chosen.trackers) == 0 {
		lines = []string{chosen.why}
	}
	d.say("changes", verdict, strings.Join(append(lines, "Everything is read each time."), "\n"), "")
}

// describe puts a way that works into words.
func (r *reading) describe(t tracker, why string, halves []*half) ([]string, error) {
	unseen, every, err := r.unseen(t, halves)
	if err != nil {
		return nil, err
	}
	lines := []string{fmt.Sprintf("by %s: %s", t.name(), why)}
	for _, u := range unseen {
		lines = append(lines, "It does not see "+u+".")
	}
	names := "each time"
	switch {
	case r.logins != nil:
	case r.set.sweepEvery > 0:
		names = "every " + hours(r.set.sweepEvery)
	case !every:
		names = "every " + hours(sweepEvery)
	}
	lines = append(lines, fmt.Sprintf("The names of all are asked for %s, and everything is read every %s.", names, hours(r.set.fullEvery)))
	if a := r.computed([]string{"memberOf"}); a != "" { // the doctor of the directory knows no mapping
		lines = append(lines, fmt.Sprintf("If the mapping uses %s or another attribute that the server makes up, everything is read each time.", a))
	}
	return lines, nil
}

// hours is a length of time without parts that are nothing.
func hours(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"0s", "0m"} {
		if cut, ok := strings.CutSuffix(s, zero); ok && strings.ContainsAny(cut, "mh") && (strings.HasSuffix(cut, "m") || strings.HasSuffix(cut, "h")) {
			s = cut
		}
	}
	return s
}
