// Package agent is the kind of source of a connection whose settings all stand in the
// file of an agent in the customer's network:
//
//	backend:
//	  agent: {}
//
// What is read there is what the agent says. The tunnel reads it, in place of this
// source, which hands on only why nothing can be read where no agent is.
package agent

import (
	"context"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// Kind has no settings.
var Kind = source.Kind{
	Name: "agent", Title: "An agent with settings of its own",
	Open:          func(setting.Values, source.Env) (source.Source, error) { return absent{}, nil },
	Authenticator: func(setting.Values, source.Env) (source.Authenticator, error) { return nobody{}, nil },
	Refer:         func(ref string) string { return ref },
}

func none() error {
	return fault.New(fault.Unavailable, "the connection is read by an agent, and none can be asked from here").
		WithHint("agents connect to a server: is one started, and has the connection an agent? `rollcall agents list` shows them")
}

type absent struct{}

func (absent) Preset(context.Context) (source.Preset, error) { return source.Preset{}, none() }

func (absent) Read(context.Context, source.Request, func(*directory.Record) error) (source.Reading, error) {
	return source.Reading{}, none()
}

func (absent) Check(_ context.Context, report func(source.Step)) {
	err := none()
	report(source.Step{Name: "agent", Section: source.Address, Verdict: source.Fail, Detail: err.Error(), Hint: fault.HintOf(err)})
}

func (absent) Close() error { return nil }

type nobody struct{}

func (nobody) Prove(context.Context, string, string, []string) (source.Proof, error) {
	return source.Proof{}, none()
}

func (nobody) Find(context.Context, string, []string) (source.Proof, error) {
	return source.Proof{}, none()
}

func (nobody) Close() error { return nil }
