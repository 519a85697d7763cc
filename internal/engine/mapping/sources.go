package mapping

// Sources names the attributes that the rule of a field or custom attribute takes
// its value from, as they are spelled; none for a constant, and where there is no
// rule.
func (m *Mapping) Sources(name string) []string {
	of := func(r *rule) []string {
		switch {
		case r.slot >= 0:
			return []string{m.names[r.slot]}
		case r.program != nil:
			return r.program.Names()
		}
		return nil
	}
	for _, list := range [][]rule{m.fields, m.custom} {
		for i := range list {
			if list[i].name == name {
				return of(&list[i])
			}
		}
	}
	switch {
	case name == manager && m.manager != nil:
		return of(m.manager)
	case name == status && m.status != nil:
		return of(m.status)
	}
	return nil
}
