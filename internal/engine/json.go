package engine

import "encoding/json"

// planHead is a plan without methods, with what people need of its basis.
type planHead struct {
	head
	Complete bool    `json:"complete"` // the reading it was made from saw everything
	Reverts  *string `json:"reverts"`  // the run it undoes
	Draft    bool    `json:"draft"`    // it was made with settings that were not saved
}

type head Plan

// MarshalJSON shows a plan without its rows, and whether the reading it was made
// from saw everything.
func (p Plan) MarshalJSON() ([]byte, error) {
	out := planHead{head: head(p), Complete: p.Basis.Complete, Draft: p.Basis.Draft != ""}
	if p.Basis.Reverts != "" {
		out.Reverts = &p.Basis.Reverts
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads the same form.
func (p *Plan) UnmarshalJSON(b []byte) error {
	var in planHead
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*p = Plan(in.head)
	p.Basis.Complete = in.Complete
	if in.Reverts != nil {
		p.Basis.Reverts = *in.Reverts
	}
	if in.Draft {
		p.Basis.Draft = "not known here"
	}
	return nil
}
