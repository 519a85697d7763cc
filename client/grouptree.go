package client

import (
	"context"
	"iter"
)

// GroupNode is a group in a tree of groups.
type GroupNode struct {
	ID       string `json:"id" format:"uuid"`
	Name     string `json:"name"`
	Members  int    `json:"members" doc:"Accounts in it: those of nested groups, and those that are disabled or flagged deleted, included."`
	Level    int    `json:"level" doc:"1 for those directly in, or around, the group that was asked for."`
	Cycle    bool   `json:"cycle" doc:"It stands further up in the tree already: the groups are nested in each other, and the tree is cut here."`
	Repeated bool   `json:"repeated" doc:"It is unfolded elsewhere in the tree."`
}

// GroupTree is the groups in a group, and those it is in.
type GroupTree struct {
	Group    Group       `json:"group"`
	Children []GroupNode `json:"children" nullable:"false" doc:"The groups in it: behind each one those in that, by name, one level deeper."`
	Parents  []GroupNode `json:"parents" nullable:"false" doc:"The groups it is in, in the same way."`
	Cut      bool        `json:"cut" doc:"There are more groups than are told."`
}

// GroupTree gives the groups in a group, and those it is in.
func (c *Client) GroupTree(ctx context.Context, group string) (GroupTree, error) {
	return Get[GroupTree](ctx, c, "/groups/"+part(group)+"/tree", nil)
}

// GroupHistory goes through what happened to a group and who came and went, the
// newest first.
func (c *Client) GroupHistory(ctx context.Context, group string) iter.Seq2[Event, error] {
	return each[Event](ctx, c, "/groups/"+part(group)+"/events", nil)
}

// GroupHistoryPage gives a piece of that.
func (c *Client) GroupHistoryPage(ctx context.Context, group string, p Piece) (Page[Event], error) {
	return page[Event](ctx, c, "/groups/"+part(group)+"/events", nil, p)
}

// GroupPage gives a piece of the groups by name, those that contain all of some
// words ("" for all).
func (c *Client) GroupPage(ctx context.Context, organization, connection, search string, p Piece) (Page[Group], error) {
	return page[Group](ctx, c, "/groups", query("organization", organization, "connection", connection, "q", search), p)
}

// MemberPage gives a piece of the accounts in a group, by name or the best fit first.
func (c *Client) MemberPage(ctx context.Context, group, search string, p Piece) (Page[Account], error) {
	return page[Account](ctx, c, "/groups/"+part(group)+"/members", query("q", search, "sort", "name"), p)
}
