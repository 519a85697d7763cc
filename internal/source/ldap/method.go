package ldap

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The ways of reading, by the names settings, runs and cursors have for them.
const (
	methodAuto    = "auto"
	methodOff     = "off"
	methodFull    = "full"
	methodDirSync = "dirsync"
	methodUSN     = "usn"
	methodSync    = "syncrepl"
	methodStamp   = "modify-timestamp"
)

// tracker is a way of finding out what changed. An *unusable from any of its
// methods means that it does not work here.
type tracker interface {
	name() string
	// begin takes down where the directory stands, before everything is read.
	begin(r *reading, b *bookmark, halves []*half) error
	// finish takes down what was learned while everything was read.
	finish(r *reading, b *bookmark) error
	// find gives what changed since the bookmark, for each half, and moves it on.
	// Nothing is handed on meanwhile.
	find(r *reading, b *bookmark, halves []*half) ([]*found, error)
	// blind says what it does not see, in sentences, and whether because of that
	// each reading is to name every entry.
	blind(r *reading, halves []*half) (what []string, every bool, err error)
}

// choice is which trackers are tried, in this order, and why these.
type choice struct {
	trackers []tracker
	why      string
}

// Attributes that change without the entry they are on being changed: what
// other entries say of it.
var computed = []string{"memberOf", "isMemberOf", "dominoAccessGroups", "nsRole", "tokenGroups", "msds-memberOfTransitive",
	"msds-memberTransitive", "directReports", "managedObjects", "msDS-User-Account-Control-Computed", "msDS-UserPasswordExpiryTimeComputed"}

// ownAnchors are the attributes servers give each entry themselves. Another may
// be shared by two entries or be given on, which a reading of changes cannot see.
var ownAnchors = []string{objectGUID, entryUUID, nsUniqueID, "GUID", "ibm-entryUUID", "dominoUNID"}

// Seen with 2.0.0.AM26: after a change the refresh often names nothing.
const lossyWhy = "the content synchronization of Apache Directory loses changes"

// choose says how changes of this directory can be read. What a server lists of
// its controls is not evidence: it is asked, and the control's answer demanded.
func (r *reading) choose() choice {
	method := r.set.method
	ad := r.preset.vendor == vendorAD
	switch {
	case method == methodOff:
		return choice{why: "sync.method is off"}
	case r.c.srv.catalog():
		return choice{why: "a Global Catalog cannot tell what changed"}
	case r.preset.vendor == vendorDomino:
		return choice{why: "Domino cannot tell what changed"}
	case !containsFold(ownAnchors, r.anchor), ad && !strings.EqualFold(r.anchor, objectGUID):
		return choice{why: fmt.Sprintf("the external ID comes from %s, which the server does not keep apart and fixed by itself", r.anchor)}
	}
	if a := r.computed(r.wanted); a != "" {
		return choice{why: fmt.Sprintf("the mapping uses %s, and what it is made of changes without the entry being changed", a)}
	}
	lossy := r.preset.vendor == vendorApache
	switch method {
	case methodDirSync:
		return choice{[]tracker{dirSync{}}, "sync.method says so"}
	case methodUSN:
		return choice{[]tracker{usn{}}, "sync.method says so"}
	case methodSync:
		if lossy {
			return choice{why: lossyWhy}
		}
		return choice{[]tracker{&syncrepl{}}, "sync.method says so"}
	case methodStamp:
		return choice{[]tracker{&byStamp{}}, "sync.method says so"}
	}
	switch {
	case ad:
		return choice{[]tracker{dirSync{}, usn{}}, "an Active Directory tells by the DirSync control what changed, or by its update sequence numbers"}
	case lossy:
		return choice{[]tracker{&byStamp{}}, lossyWhy}
	case !r.dse.has("supportedControl", oidSyncRequest):
		return choice{[]tracker{&byStamp{}}, "the server does not offer content synchronization (RFC 4533)"}
	case r.preset.vendor != vendorOpenLDAP && r.preset.vendor != vendor389:
		return choice{[]tracker{&byStamp{}}, "content synchronization (RFC 4533) is taken of servers alone that are known to do it well; sync.method can ask for it"}
	case !syncAnchor(r.preset.vendor, r.anchor):
		return choice{[]tracker{&byStamp{}}, fmt.Sprintf("content synchronization (RFC 4533) does not tell %s", r.anchor)}
	}
	return choice{[]tracker{&syncrepl{}, &byStamp{}}, "the server offers content synchronization (RFC 4533)"}
}

// computed gives the first of attributes that changes behind its entry's back.
// 389 Directory Server writes memberOf into the entry as a change of it.
func (r *reading) computed(attributes []string) string {
	i := slices.IndexFunc(attributes, func(a string) bool {
		a = typeName(a)
		return containsFold(computed, a) && (r.preset.vendor != vendor389 || !strings.EqualFold(a, "memberOf"))
	})
	if i < 0 {
		return ""
	}
	return attributes[i]
}

func containsFold(list []string, s string) bool {
	return slices.ContainsFunc(list, func(x string) bool { return strings.EqualFold(x, s) })
}

// unseen is what a tracker does not see, with what no tracker does.
func (r *reading) unseen(t tracker, halves []*half) (what []string, every bool, err error) {
	what, every, err = t.blind(r, halves)
	for _, h := range halves {
		if a := r.computed(filterAttributes(h.query.filter)); a != "" {
			every = true
			what = append(what, fmt.Sprintf("%s who come to match the filter, or no longer do, because %s changed", h.what, a))
		}
	}
	return what, every, err
}

// sweepEvery is how often everybody is named where nothing else is set.
const sweepEvery = 24 * time.Hour

// sweepDue tells whether this reading of changes names every entry as well.
func (r *reading) sweepDue(b *bookmark, every, asked bool, now time.Time) bool {
	if asked || r.logins != nil {
		return true // a posixGroup's members can be told from the logins of all people alone
	}
	if r.set.sweepEvery > 0 {
		return since(b.SweptAt, now, r.set.sweepEvery)
	}
	return every || since(b.SweptAt, now, sweepEvery)
}

// byName is the tracker a bookmark belongs to, nil if it is not to be used now.
func (c choice) byName(name string) tracker {
	i := slices.IndexFunc(c.trackers, func(t tracker) bool { return t.name() == name })
	if i < 0 {
		return nil
	}
	return c.trackers[i]
}
