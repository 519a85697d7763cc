package okta

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"rollcall.dev/rollcall/internal/directory"
)

// managerLoginAttribute is put beside managerId where that holds an employee number:
// the login of the only person who has it.
const managerLoginAttribute = "managerLogin"

// resolve looks up the employee numbers that the managerId of some people holds. Of
// the ways of asking for people only search knows this attribute. It may lag behind,
// which makes a manager late and nobody gone.
func (p *pass) resolve(people []*entry) error {
	if p.set.manager != managerNumber {
		return nil
	}
	if p.logins == nil {
		p.logins = map[string]string{}
	}
	var unknown []string
	for _, e := range people {
		number := e.text("managerId")
		if _, asked := p.logins[number]; number != "" && !asked {
			p.logins[number] = ""
			unknown = append(unknown, number)
		}
	}
	for part := range slices.Chunk(unknown, chunk) {
		found := map[string][]string{}
		err := p.api.pages(p.ctx, users, p.set.numbersRef(part), func(page []json.RawMessage, _ http.Header) error {
			for _, raw := range page {
				e, err := parse(raw)
				if err != nil {
					return err
				}
				if login := e.text("login"); login != "" && !slices.Contains(found[e.text("employeeNumber")], login) {
					found[e.text("employeeNumber")] = append(found[e.text("employeeNumber")], login)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for number, logins := range found {
			if len(logins) == 1 {
				p.logins[number] = logins[0]
			} else {
				p.note(fmt.Sprintf("%d people have the employee number %.40q, so that nobody's manager is known by it.", len(logins), number))
			}
		}
	}
	return nil
}

func (s *settings) numbersRef(numbers []string) string {
	search := ""
	for i, n := range numbers {
		if i > 0 {
			search += " or "
		}
		search += "profile.employeeNumber eq " + quoted(n)
	}
	return "/api/v1/users?" + url.Values{"search": {search}, "limit": {strconv.Itoa(s.pageSize)}}.Encode()
}

// lead adds the login of a person's manager.
func (p *pass) lead(e *entry, r *directory.Record) {
	if login := p.logins[e.text("managerId")]; login != "" && (p.wanted == nil || p.wanted(managerLoginAttribute)) {
		r.Attributes = append(r.Attributes, directory.Attribute{Name: managerLoginAttribute, Values: []string{login}})
	}
}
