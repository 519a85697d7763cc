package cli

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// process is the program itself at work.
type process struct {
	*house
	cmd *exec.Cmd
	out bytes.Buffer
	err until
}

func (h *house) start(args ...string) *process {
	h.Helper()
	return h.exec(binary(h.T), append([]string{"--config", h.path("rollcall.yaml")}, args...)...)
}

// exec starts the program under the name it is called by.
func (h *house) exec(name string, args ...string) *process {
	h.Helper()
	p := &process{house: h, err: until{enough: func() {}}}
	p.cmd = exec.Command(name, args...)
	p.cmd.Env = os.Environ()
	for k, v := range h.env {
		p.cmd.Env = append(p.cmd.Env, k+"="+v)
	}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	if err := p.cmd.Start(); err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { _ = p.cmd.Process.Kill() })
	// What other users of the machine can see of it.
	if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.cmd.Process.Pid)); err == nil {
		record(h.Name()+": /proc/PID/cmdline", string(line))
	}
	return p
}

func (p *process) signal(s os.Signal) {
	p.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.Fatal(err)
	}
}

// end waits for the exit, and gives the status; -1 where a signal ended it.
func (p *process) end() result {
	p.Helper()
	err := p.cmd.Wait()
	if err != nil && p.cmd.ProcessState == nil {
		p.Fatal(err)
	}
	record(p.Name()+": "+strings.Join(p.cmd.Args, " "), p.out.String(), p.err.String())
	return result{p.cmd.ProcessState.ExitCode(), p.out.String(), p.err.String()}
}
