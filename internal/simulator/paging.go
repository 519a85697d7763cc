package simulator

import (
	"fmt"
	"strconv"
	"strings"

	"rollcall.dev/rollcall/internal/simulator/wire"
)

// mostPages is how many paged searches a connection may have under way; the
// oldest is forgotten (MaxResultSetsPerConn of Active Directory).
const mostPages = 10

// page is where a paged search goes on.
type page struct {
	query string // what was asked, which must stay the same
	after int64  // the ID of the last entry
	sent  int    // so far, over all pages
}

// pages are a connection's, in order of their cookies.
type pages struct {
	last int64
	open []openPage
}

type openPage struct {
	cookie string
	page
}

func (c *conn) keepPage(p page) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pages.last++
	cookie := "page:" + strconv.Itoa(c.number) + ":" + strconv.FormatInt(c.pages.last, 10)
	c.pages.open = append(c.pages.open, openPage{cookie, p})
	if len(c.pages.open) > mostPages {
		c.pages.open = c.pages.open[1:]
	}
	return cookie
}

// page takes up a cookie of this connection, once.
func (c *conn) page(cookie string) (page, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, p := range c.pages.open {
		if p.cookie == cookie {
			c.pages.open = append(c.pages.open[:i:i], c.pages.open[i+1:]...)
			return p.page, true
		}
	}
	return page{}, false
}

// paged answers one page (RFC 2696).
func (s *search) paged(c *wire.Control, l limits) wire.Result {
	size, cookie, err := c.Paging()
	if err != nil {
		return wire.Result{Code: wire.ProtocolError, Text: "the paging control cannot be read"}
	}
	p := page{query: s.query()}
	if cookie != "" {
		var ok bool
		if p, ok = s.c.page(cookie); !ok || p.query != s.query() {
			var refused *wire.Result
			if p, refused = l.foreign(s, cookie); refused != nil {
				return *refused
			}
		}
	}
	if size == 0 { // a client that wants no more
		return wire.Result{Controls: []wire.Control{wire.NewPaging(0, "")}}
	}
	if l.page > 0 && int(size) > l.page {
		if l.refuses {
			return wire.Result{Code: wire.AdminLimitExceeded, Text: "illegal pagedResults page size"}
		}
		size = int64(l.page)
	}
	most := int(size)
	total := smaller(l.total, int(s.q.SizeLimit))
	over := total > 0 && total-p.sent < most
	if over {
		most = total - p.sent
	}
	result := wire.Result{Code: more}
	if most > 0 {
		before := s.sent
		p.after, result, err = s.stretch(p.after, most, l)
		p.sent += s.sent - before
	}
	if err != nil {
		return wire.Result{}
	}
	switch {
	case result.Code == more && over:
		return wire.Result{Code: wire.SizeLimitExceeded, Text: s.c.s.role.overLimit(), Controls: []wire.Control{wire.NewPaging(0, "")}}
	case result.Code == more:
		return wire.Result{Controls: []wire.Control{wire.NewPaging(0, s.c.keepPage(p))}}
	case result.Code != wire.Success:
		return result
	}
	if l.ends != nil && l.ends() != nil {
		return wire.Result{}
	}
	result.Controls = []wire.Control{wire.NewPaging(0, "")}
	return result
}

// query is what must be the same for a cookie to be good.
func (s *search) query() string {
	return fmt.Sprintf("%s\n%d\n%s\n%s", s.base, s.q.Scope, s.q.Filter, strings.Join(s.q.Attributes, ","))
}
