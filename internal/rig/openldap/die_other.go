//go:build !linux

package openldap

import "os/exec"

// dieWithUs has no counterpart here: a killed test leaves its server behind.
func dieWithUs(*exec.Cmd) {}
