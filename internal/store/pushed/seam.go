package pushed

import (
	"context"
	"errors"

	"rollcall.dev/rollcall/internal/scim"
)

var errSeam = errors.New("not written yet")

// Get gives a resource, or a *scim.Error of status 404.
func (p *Pushed) Get(ctx context.Context, connection string, t scim.Type, id string, members, groups bool) (*Resource, error) {
	return nil, errSeam
}

// List gives a page of what a query finds.
func (p *Pushed) List(ctx context.Context, connection string, q Query) (Page, error) {
	return Page{}, errSeam
}

// Write runs fn in a transaction: an error undoes all of it.
func (p *Pushed) Write(ctx context.Context, connection string, fn func(*Tx) error) error {
	return errSeam
}

// Get gives a resource as it stands in the transaction.
func (t *Tx) Get(typ scim.Type, id string, members, groups bool) (*Resource, error) {
	return nil, errSeam
}

// Create makes a resource.
func (t *Tx) Create(typ scim.Type, body scim.Object) (*Resource, error) { return nil, errSeam }

// Replace puts another body in place of a resource's.
func (t *Tx) Replace(r *Resource, body scim.Object) error { return errSeam }

// Delete removes a resource and its memberships.
func (t *Tx) Delete(r *Resource) error { return errSeam }

// AddMembers adds those to a group that are not in it.
func (t *Tx) AddMembers(group *Resource, list []Member) (int, error) { return 0, errSeam }

// RemoveMembers takes those out of a group that are in it.
func (t *Tx) RemoveMembers(group *Resource, ids []string) (int, error) { return 0, errSeam }

// ReplaceMembers makes the list the members of a group.
func (t *Tx) ReplaceMembers(group *Resource, list []Member) (int, error) { return 0, errSeam }

// RemoveMembersWhere takes those members out of a group that a filter fits.
func (t *Tx) RemoveMembersWhere(group *Resource, f *scim.Filter) (int, error) { return 0, errSeam }
