//go:build !windows

package service

import (
	"context"

	"rollcall.dev/rollcall/internal/fault"
)

// elsewhere is what there is to say on other systems.
func elsewhere() error {
	return fault.New(fault.Invalid, "this system has no services of Windows").
		WithHint("under Linux systemd runs the agent: `systemctl enable --now rollcall-agent`, as docs/install.md tells; `rollcall agent run` runs it by hand")
}

// Started says whether the service manager started this program.
func Started() (bool, error) { return false, nil }

// Run is of Windows alone.
func Run(Program) error { return elsewhere() }

// Ready is of Windows alone.
func Ready() (known bool, err error) { return false, elsewhere() }

// Install is of Windows alone.
func Install([]Variable) (Installed, error) { return Installed{}, elsewhere() }

// Begin is of Windows alone.
func Begin(context.Context) error { return elsewhere() }

// End is of Windows alone.
func End(context.Context) error { return elsewhere() }

// Reload is of Windows alone.
func Reload() error { return elsewhere() }

// Remove is of Windows alone.
func Remove(context.Context) (Installed, error) { return Installed{}, elsewhere() }

// Look is of Windows alone.
func Look() (Installed, error) { return Installed{}, elsewhere() }
