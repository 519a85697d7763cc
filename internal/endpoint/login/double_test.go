package login_test

import (
	"context"

	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// dead is a directory that cannot be reached.
type dead struct{}

func (dead) Prove(context.Context, string, string, []string) (source.Proof, error) {
	return source.Proof{}, errDown
}

func (dead) Find(context.Context, string, []string) (source.Proof, error) {
	return source.Proof{}, errDown
}

func (dead) Close() error { return nil }

func kinds(name string) (source.Kind, bool) {
	return source.Kind{Name: name, Authenticator: func(setting.Values, source.Env) (source.Authenticator, error) { return dead{}, nil }}, true
}
