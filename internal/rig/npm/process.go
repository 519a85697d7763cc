package npm

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Script is a program for node with what it needs.
type Script struct {
	Name     string // in errors
	Packages []string
	Main     []byte
	Files    map[string][]byte // beside it, by name
	Args     []string
	Env      []string // in addition to ours
}

// Process is a script that runs: it says on its standard output how it stands, and
// ends when its standard input does.
type Process struct {
	name  string
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	where string
	log   bytes.Buffer
}

// Start installs the packages and runs the script beside them. It ends with Stop, or
// with the process that started it; not with ctx.
func Start(ctx context.Context, s Script) (*Process, error) {
	dir, err := Folder(ctx, s.Packages...)
	if err != nil {
		return nil, err
	}
	p := &Process{name: s.Name}
	if p.where, err = os.MkdirTemp(dir, "run-"); err != nil {
		return nil, err
	}
	file := filepath.Join(p.where, "main.mjs")
	err = os.WriteFile(file, s.Main, 0o600)
	for name, text := range s.Files {
		err = errors.Join(err, os.WriteFile(filepath.Join(p.where, name), text, 0o600))
	}
	p.cmd = exec.Command("node", append([]string{file}, s.Args...)...) //nolint:gosec // a script of our own, which outlives ctx
	p.cmd.Dir, p.cmd.Env, p.cmd.Stderr = p.where, append(os.Environ(), s.Env...), &p.log
	in, err1 := p.cmd.StdinPipe()
	out, err2 := p.cmd.StdoutPipe()
	if err = errors.Join(err, err1, err2); err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s rig: start node: %w", s.Name, err), os.RemoveAll(p.where))
	}
	p.in, p.out = in, bufio.NewReader(out)
	return p, nil
}

// Begin is Start for a script whose first word is where it can be reached.
func Begin(ctx context.Context, s Script, begins string) (*Process, string, error) {
	p, err := Start(ctx, s)
	if err != nil {
		return nil, "", err
	}
	where, err := p.Answer(begins)
	if err != nil {
		return nil, "", errors.Join(err, p.Stop())
	}
	return p, where, nil
}

// Answer waits for a line, and gives what follows its beginning.
func (p *Process) Answer(begins string) (string, error) {
	for {
		line, err := p.out.ReadString('\n')
		if err != nil {
			_ = p.cmd.Wait() // how it ended is on its log
			return "", fmt.Errorf("%s rig: it ended: %w\n%s", p.name, err, p.log.String())
		}
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), begins); ok {
			return rest, nil
		}
	}
}

// Tell gives it a line.
func (p *Process) Tell(line string) error {
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		return fmt.Errorf("%s rig: %w", p.name, err)
	}
	return nil
}

// Stop ends it.
func (p *Process) Stop() error {
	_ = p.in.Close() // that is its sign
	_ = p.cmd.Wait() // how it ended does not matter
	return os.RemoveAll(p.where)
}

// Log is what it said on its standard error, once it was stopped.
func (p *Process) Log() string { return p.log.String() }
