package account

import (
	"encoding/json"
	"time"
)

// wire is the JSON form of an account, the same in plans, events, the command
// line and the API. Absent values are null.
type wire struct {
	ID           *ID             `json:"id"`
	Organization *string         `json:"organization"`
	Connection   *string         `json:"connection"`
	ExternalID   *string         `json:"external_id"`
	Username     *string         `json:"username"`
	Email        *string         `json:"email"`
	FirstName    *string         `json:"first_name"`
	LastName     *string         `json:"last_name"`
	DisplayName  *string         `json:"display_name"`
	MobilePhone  *string         `json:"mobile_phone"`
	Phone        *string         `json:"phone"`
	Language     *string         `json:"language"`
	Title        *string         `json:"title"`
	Department   *string         `json:"department"`
	Location     *string         `json:"location"`
	Manager      *ID             `json:"manager"`
	Role         *string         `json:"role"`
	Status       *Status         `json:"status"`
	Attributes   json.RawMessage `json:"attributes"`
	Groups       []ID            `json:"groups"`
	CreatedAt    *time.Time      `json:"created_at"`
	UpdatedAt    *time.Time      `json:"updated_at"`
}

func (w *wire) text() [fields]**string {
	return [fields]**string{
		&w.Username, &w.Email, &w.FirstName, &w.LastName, &w.DisplayName, &w.MobilePhone, &w.Phone,
		&w.Language, &w.Title, &w.Department, &w.Location, &w.Role,
	}
}

func optional[T comparable](v *T) *T {
	var zero T
	if *v == zero {
		return nil
	}
	return v
}

// MarshalJSON gives the form of product contract and API document.
func (a Account) MarshalJSON() ([]byte, error) {
	w := wire{
		ID: optional(&a.ID), Organization: optional(&a.Organization), Connection: optional(&a.Connection),
		ExternalID: optional(&a.ExternalID), Manager: optional(&a.Manager), Status: optional(&a.Status),
		Groups: a.Groups, Attributes: json.RawMessage("{}"),
	}
	for i, p := range w.text() {
		*p = optional(&a.Text[i])
	}
	if a.Attributes != "" {
		w.Attributes = json.RawMessage(a.Attributes)
	}
	if w.Groups == nil {
		w.Groups = []ID{}
	}
	if !a.CreatedAt.IsZero() {
		w.CreatedAt = &a.CreatedAt
	}
	if !a.UpdatedAt.IsZero() {
		w.UpdatedAt = &a.UpdatedAt
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads the same form.
func (a *Account) UnmarshalJSON(b []byte) error {
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*a = Account{ID: value(w.ID), Organization: value(w.Organization), Connection: value(w.Connection),
		ExternalID: value(w.ExternalID), Manager: value(w.Manager), Status: value(w.Status), Groups: w.Groups,
		CreatedAt: value(w.CreatedAt), UpdatedAt: value(w.UpdatedAt)}
	for i, p := range w.text() {
		a.Text[i] = value(*p)
	}
	if s := string(w.Attributes); s != "{}" && s != "null" {
		a.Attributes = s
	}
	return nil
}

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// MarshalJSON shows a group: id, organization, connection, external_id, name,
// status, members (a count), created_at, updated_at.
func (g Group) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ID           ID        `json:"id"`
		Organization string    `json:"organization"`
		Connection   string    `json:"connection"`
		ExternalID   *string   `json:"external_id"`
		Name         string    `json:"name"`
		Status       Status    `json:"status"`
		Members      int       `json:"members"`
		CreatedAt    time.Time `json:"created_at"`
		UpdatedAt    time.Time `json:"updated_at"`
	}{g.ID, g.Organization, g.Connection, optional(&g.ExternalID), g.Name, g.Status, g.Members, g.CreatedAt, g.UpdatedAt})
}

// UnmarshalJSON reads the same form.
func (g *Group) UnmarshalJSON(b []byte) error {
	var w struct {
		ID           ID        `json:"id"`
		Organization string    `json:"organization"`
		Connection   string    `json:"connection"`
		ExternalID   string    `json:"external_id"`
		Name         string    `json:"name"`
		Status       Status    `json:"status"`
		Members      int       `json:"members"`
		CreatedAt    time.Time `json:"created_at"`
		UpdatedAt    time.Time `json:"updated_at"`
	}
	err := json.Unmarshal(b, &w)
	*g = Group{ID: w.ID, Organization: w.Organization, Connection: w.Connection, ExternalID: w.ExternalID, Name: w.Name, Status: w.Status,
		Members: w.Members, CreatedAt: w.CreatedAt, UpdatedAt: w.UpdatedAt}
	return err
}
