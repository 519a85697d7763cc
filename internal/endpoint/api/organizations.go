package api

import (
	"context"
	"net/http"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/organizations"
)

type body[T any] struct{ Body T }

// OrganizationPath names an organization.
type OrganizationPath struct {
	ID string `path:"id" doc:"The organization's ID." maxLength:"64"`
}

func (s *server) organizations() {
	register(s, operation{id: "list-organizations", method: http.MethodGet, path: "/organizations", tag: "organizations", summary: "List organizations and the seats they use"}, s.listOrganizations)
	register(s, operation{id: "get-organization", method: http.MethodGet, path: "/organizations/{id}", tag: "organizations", summary: "Show an organization"},
		func(ctx context.Context, in *OrganizationPath) (*body[organizations.Organization], error) {
			o, err := s.Registry.Organization(ctx, who(ctx), in.ID)
			return &body[organizations.Organization]{o}, err
		})
	register(s, operation{id: "create-organization", method: http.MethodPost, path: "/organizations", tag: "organizations", summary: "Make an organization",
		description: "For keys that reach all organizations.", status: http.StatusCreated, fails: []int{http.StatusConflict}}, s.createOrganization)
	register(s, operation{id: "update-organization", method: http.MethodPatch, path: "/organizations/{id}", tag: "organizations", summary: "Change an organization's name or licence",
		description: "For keys that reach all organizations: nobody grants himself seats.", fails: []int{http.StatusConflict}}, s.updateOrganization)
	register(s, operation{id: "delete-organization", method: http.MethodDelete, path: "/organizations/{id}", tag: "organizations", summary: "Take an empty organization away",
		description: "For keys that reach all organizations. One that has connections or accounts is refused.", status: http.StatusNoContent, fails: []int{http.StatusConflict}},
		func(ctx context.Context, in *OrganizationPath) (*struct{}, error) {
			return nil, s.Registry.DeleteOrganization(ctx, who(ctx), in.ID)
		})
}

// operatorOnly refuses what concerns all tenants to a key of one.
func operatorOnly(ctx context.Context) error {
	if own := callerOf(ctx).Organization; own != "" {
		return fault.New(fault.Denied, "the API key reaches organization %s only", own).WithHint("this needs a key with the scope operator")
	}
	return nil
}

func (s *server) listOrganizations(ctx context.Context, in *struct{ Paging }) (*pageOf[organizations.Organization], error) {
	const list = "organizations"
	var after string
	if err := openCursor(list, in.Cursor, &after); err != nil {
		return nil, err
	}
	found, err := s.Registry.Organizations(ctx, who(ctx), after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return cut(list, found, in.Limit, func(o organizations.Organization) any { return o.ID })
}

func (s *server) createOrganization(ctx context.Context, in *body[client.OrganizationInput]) (*body[organizations.Organization], error) {
	if err := operatorOnly(ctx); err != nil {
		return nil, err
	}
	o := setting.Organization{ID: in.Body.ID, Name: in.Body.ID}
	if in.Body.ID == "" {
		return nil, fault.New(fault.Invalid, "an organization needs an id")
	}
	change(&o, &in.Body)
	made, err := s.Registry.CreateOrganization(ctx, who(ctx), o)
	return &body[organizations.Organization]{made}, err
}

// change puts what was given over what there is.
func change(o *setting.Organization, in *client.OrganizationInput) {
	if in.Name != nil && *in.Name != "" {
		o.Name = *in.Name
	}
	if in.LicenceLimit != nil {
		o.LicenceLimit = *in.LicenceLimit
	}
}

func (s *server) updateOrganization(ctx context.Context, in *struct {
	OrganizationPath
	Body client.OrganizationInput
}) (*body[organizations.Organization], error) {
	was, err := s.Registry.Organization(ctx, who(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	if in.Body.ID != "" && in.Body.ID != in.ID {
		return nil, fault.New(fault.Invalid, "the id of an organization cannot be changed").WithHint("make a new one")
	}
	o := setting.Organization{ID: was.ID, Name: was.Name}
	if was.LicenceLimit != nil {
		o.LicenceLimit = *was.LicenceLimit
	}
	change(&o, &in.Body)
	is, err := s.Registry.UpdateOrganization(ctx, who(ctx), o)
	return &body[organizations.Organization]{is}, err
}
