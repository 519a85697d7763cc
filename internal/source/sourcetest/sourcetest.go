// Package sourcetest holds the suite that every kind of directory behind a vendor's
// web API has to pass, and what it is made of: a small world of people and groups, a
// clock that only moves when somebody waits, and faults that happen to one request of
// a reading. It hands nothing on but verdicts.
//
// A kind passes it with a stand-in for its vendor:
//
//	sourcetest.Run(t, sourcetest.Suite{
//		Kind:  func(c *sourcetest.Clock) source.Kind { return okta.KindWith(c.Now, c.Sleep) },
//		Start: func(t testing.TB, c *sourcetest.Clock) sourcetest.Vendor { return start(t, c) },
//		Login: "login", Group: "name",
//	})
//
// What it checks first of all is that nobody is taken for gone who is not: by no
// fault, at no request.
package sourcetest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// Suite is a kind and its stand-in.
type Suite struct {
	// Kind is the kind of directory, whose readings take the time and wait by a clock.
	Kind func(c *Clock) source.Kind
	// Start begins to serve an empty directory. It ends with the test. The pages of the
	// stand-in are small, so that a dozen people are several.
	Start func(t testing.TB, c *Clock) Vendor
	Login string // the attribute with a person's login
	Group string // the attribute with a group's name
	// Permission is a word of the hint or error where the vendor refuses to hand out
	// people: the name of what is missing.
	Permission string
	// FullOnly is of a vendor that has no call for changes: each reading is a full one.
	FullOnly bool
}

// Person of a world.
type Person struct {
	ID                 string // the vendor's, as records have it
	Login, First, Last string
	Email              string
	Manager            string // the ID of another, or ""
	Disabled           bool
}

// Group of a world. The stand-in hands on its members whatever they are.
type Group struct {
	ID, Name string
	Members  []string // IDs of people
}

// Vendor is a stand-in for a vendor's directory. Its methods may be called while a
// request is being answered, from within a Fault.
type Vendor interface {
	// Settings are those of a connection to it that reads all people and all groups.
	Settings() setting.Values
	// Put adds a person or changes one of this ID, and the vendor takes it down as a
	// change of now.
	Put(p Person)
	// Remove deletes a person for good, with all memberships.
	Remove(id string)
	// PutGroup adds a group or changes one of this ID.
	PutGroup(g Group)
	// RemoveGroup deletes a group for good.
	RemoveGroup(id string)
	// ExpireTokens makes worthless whatever access tokens were given out.
	ExpireTokens()
	// ExpireCursors makes worthless whatever marks of changes were given out; where the
	// vendor has none, it does nothing.
	ExpireCursors()
	// Repeat makes the vendor send entries twice from now on, on two pages where it can.
	Repeat(on bool)
	// Faults are what happens to requests for data; those for tokens are not counted.
	Faults() *Faults
	// Throttles are the ways in which the vendor says that it is asked too often.
	Throttles() []Throttle
	// Refusal is what the vendor answers where a permission is missing.
	Refusal() Answer
	// Secrets are texts that may be in no error, note or step: keys, passwords, and all
	// tokens given out so far.
	Secrets() []string
}

// Throttle is one way of saying that it is too often.
type Throttle struct {
	Name string // "Retry-After in whole seconds"
	Answer
	// Least is how long the next try has to wait at least; zero where it is up to the client.
	Least time.Duration
}

// World is what a stand-in holds.
type World struct {
	People map[string]Person
	Groups map[string]Group
}

// Clone gives a copy that can be changed by itself.
func (w World) Clone() World {
	out := World{People: maps.Clone(w.People), Groups: map[string]Group{}}
	for id, g := range w.Groups {
		g.Members = slices.Clone(g.Members)
		out.Groups[id] = g
	}
	return out
}

// Clock stands still until somebody waits.
type Clock struct {
	mu     sync.Mutex
	now    time.Time
	waited time.Duration
}

// NewClock begins at some day.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)} }

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Sleep lets the time pass at once.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	c.now, c.waited = c.now.Add(d), c.waited+d
	return nil
}

// Pass lets time pass without anybody waiting.
func (c *Clock) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Waited is how long was waited in all.
func (c *Clock) Waited() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waited
}
