package ldap

import (
	"errors"
	"fmt"
	"slices"
)

// end is how a search ended.
type end struct {
	result
	entries int
	// untold is true where the server was asked for pages and did not say whether
	// there is another.
	untold bool
}

// whole is true of a search that ended with everything.
func (e end) whole() bool { return e.code == 0 && !e.untold }

// pages goes through the pages of one search. An error voids the reading; how
// the last page ended is the caller's to judge. between is called after each, or, where
// pages are read ahead, before each that was not asked for yet.
func (r *reading) pages(what string, q query, entry func(op cursor) error, between func() error) (end, error) {
	if r.dse.has("supportedControl", oidPaging) && q.sizeLimit == 0 {
		q.pageSize = r.set.pageSize
	}
	e := end{}
	taken := func(op cursor) error {
		e.entries++
		return entry(op)
	}
	reference := func(uris []string) {
		if !q.elsewhere {
			r.reference(uris, q.base)
		}
	}
	for {
		var res result
		var onPage int
		var err error
		before := e.entries
		if q.ahead && q.pageSize > 0 {
			res, onPage, err = r.c.askAhead(&q, taken, reference, func() bool { return len(r.held) > 0 })
		} else {
			res, err = r.c.ask(&q, taken, reference)
			onPage = e.entries - before
		}
		if r.refused != nil {
			return e, r.refused
		}
		var no *unusable
		if errors.As(err, &no) {
			return e, err
		}
		if err != nil {
			return e, r.failed(what, q, err, e.entries)
		}
		e.result = res
		if err := between(); err != nil {
			return e, err
		}
		switch {
		case res.code != 0 || q.pageSize == 0:
			return e, nil
		case !res.paged:
			// Nobody says whether this was all: a short answer was.
			e.untold = onPage >= q.pageSize
			return e, nil
		case res.cookie == "":
			return e, nil
		case res.cookie == q.cookie && onPage == 0:
			return e, r.failed(what, q, errors.New("the server hands out the same empty page again"), e.entries)
		}
		q.cookie = res.cookie
	}
}

func (r *reading) failed(what string, q query, err error, entries int) error {
	return r.set.explain(fmt.Sprintf("search %s, after %d %s", quoted(q.base), entries, what), err)
}

// judge tells whether a search ended with everything. What cuts it short makes
// the reading incomplete; what else goes wrong is an error.
func (r *reading) judge(what string, q query, e end) (whole bool, err error) {
	switch {
	case e.untold:
		r.incomplete(fmt.Sprintf("the server was asked for pages and did not say whether there is another after %d %s", e.entries, what))
	case e.code == 0:
		return true, nil
	case cutShort(e.code):
		r.incomplete(limitReason(what, e.entries, e.result))
	default:
		return false, r.failed(what, q, e.err(), e.entries)
	}
	return false, nil
}

// cutShort are the results of a search that gave a part of the answer.
func cutShort(code int) bool {
	return slices.Contains([]int{codeTimeLimit, codeSizeLimit, codeAdminLimit, codeReferral}, code)
}
