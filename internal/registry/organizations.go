package registry

import (
	"context"
	"encoding/json"
	"slices"

	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/organizations"
)

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

// Organizations gives tenants by ID, after one and at the most limit (0 for all);
// for somebody of an organization that one alone.
func (r *Registry) Organizations(ctx context.Context, who Who, after string, limit int) ([]organizations.Organization, error) {
	list, err := r.Store.OrganizationTable.List(ctx, who.Organization, after, limit)
	for i := range list {
		list[i].Declared = r.DeclaredOrganization(list[i].ID)
	}
	return list, err
}

// Tenants are the organizations as settings, as they would stand in rollcall.yaml.
func (r *Registry) Tenants(ctx context.Context) ([]setting.Organization, error) {
	list, err := r.Organizations(ctx, Who{}, "", 0)
	out := make([]setting.Organization, len(list))
	for i, o := range list {
		out[i] = setting.Organization{ID: o.ID, Name: o.Name}
		if o.LicenceLimit != nil {
			out[i].LicenceLimit = *o.LicenceLimit
		}
	}
	return out, err
}

// Organization gives one tenant.
func (r *Registry) Organization(ctx context.Context, who Who, id string) (organizations.Organization, error) {
	if who.Organization == "" || who.Organization == id {
		list, err := r.Store.OrganizationTable.List(ctx, id, "", 1)
		if err != nil {
			return organizations.Organization{}, err
		}
		if id != "" && len(list) == 1 {
			list[0].Declared = r.DeclaredOrganization(id)
			return list[0], nil
		}
	}
	return organizations.Organization{}, fault.New(fault.NotFound, "there is no organization %q", id)
}

// DeclaredOrganization reports that an organization stands in rollcall.yaml.
func (r *Registry) DeclaredOrganization(id string) bool {
	return slices.ContainsFunc(r.Config().Organizations, func(o setting.Organization) bool { return o.ID == id })
}

// CreateOrganization makes a tenant; an operator's business.
func (r *Registry) CreateOrganization(ctx context.Context, who Who, o setting.Organization) (organizations.Organization, error) {
	if o.Name == "" {
		o.Name = o.ID
	}
	return r.putOrganization(ctx, who, o, true)
}

// UpdateOrganization changes a tenant's name and limit of seats.
func (r *Registry) UpdateOrganization(ctx context.Context, who Who, o setting.Organization) (organizations.Organization, error) {
	return r.putOrganization(ctx, who, o, false)
}

func (r *Registry) putOrganization(ctx context.Context, who Who, o setting.Organization, fresh bool) (organizations.Organization, error) {
	if err := r.mayChange(who, o.ID); err != nil {
		return organizations.Organization{}, err
	}
	if err := config.CheckOrganization(o); err != nil {
		return organizations.Organization{}, err
	}
	var before json.RawMessage
	kind := event.OrganizationCreated
	if !fresh {
		was, err := r.Organization(ctx, who, o.ID)
		if err != nil {
			return was, err
		}
		if before, err = organizationJSON(was); err != nil {
			return was, err
		}
		kind = event.OrganizationUpdated
	}
	err := r.Store.DB.Write(ctx, func(tx *db.Tx) error {
		if err := organizations.Put(ctx, tx, o, fresh, r.now()); err != nil {
			return err
		}
		now := organizations.Organization{ID: o.ID, Name: o.Name}
		if o.LicenceLimit > 0 {
			now.LicenceLimit = &o.LicenceLimit
		}
		after, err := organizationJSON(now)
		if err != nil {
			return err
		}
		return events.Append(ctx, tx, []event.Event{{Type: kind, Organization: o.ID, At: r.now(), Actor: who.Actor, Before: before, After: after}})
	})
	if err != nil {
		return organizations.Organization{}, err
	}
	return r.Organization(ctx, who, o.ID)
}

func organizationJSON(o organizations.Organization) (json.RawMessage, error) {
	return json.Marshal(map[string]any{"id": o.ID, "name": o.Name, "licence_limit": o.LicenceLimit})
}

// DeleteOrganization takes a tenant away that has neither connections nor accounts.
func (r *Registry) DeleteOrganization(ctx context.Context, who Who, id string) error {
	if err := r.mayChange(who, id); err != nil {
		return err
	}
	was, err := r.Organization(ctx, who, id)
	if err != nil {
		return err
	}
	before, err := organizationJSON(was)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(r.Config().Connections, func(c setting.Connection) bool { return c.Organization == id }) {
		return fault.New(fault.Conflict, "organization %s still has connections in rollcall.yaml", id)
	}
	return r.Store.DB.Write(ctx, func(tx *db.Tx) error {
		if err := organizations.Delete(ctx, tx, id, r.now()); err != nil {
			return err
		}
		return events.Append(ctx, tx, []event.Event{{Type: event.OrganizationDeleted, Organization: id, At: r.now(), Actor: who.Actor, Before: before}})
	})
}

func (r *Registry) mayChange(who Who, id string) error {
	if who.Organization != "" {
		if who.Organization != id {
			return fault.New(fault.NotFound, "there is no organization %q", id)
		}
		return fault.New(fault.Denied, "organizations are made and changed by an operator")
	}
	if r.DeclaredOrganization(id) {
		return fault.New(fault.Conflict, "organization %s is declared in rollcall.yaml", id).WithHint("change it there; the server takes it over on SIGHUP")
	}
	return nil
}
