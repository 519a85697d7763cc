// Package postgres starts a real PostgreSQL server on loopback and hands its
// address to tests, benchmarks and `make`. Each server has a folder and a
// process of its own; a server the machine runs is neither read nor written.
package postgres

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a running PostgreSQL server that nobody else uses. It ends with
// Stop, or with the process that started it.
type Server struct {
	DSN string // the empty database "rollcall", as its superuser

	dir       string
	process   *exec.Cmd
	exited    chan struct{}
	exit      error
	deadlock  []string // what it said of the first one; to be read when it has exited
	databases sync.Mutex
	made      int
}

// Option changes how a server is started.
type Option func(*options)

type options struct{ durable bool }

// Durable makes the server wait for the disk, as in production: benchmarks ask
// for it. Without it a commit is as quick as memory and does not outlive a
// power cut, which no test waits for.
func Durable() Option { return func(o *options) { o.durable = true } }

// Start makes a cluster in a new folder and starts it on a free loopback port,
// without a Unix socket. Root starts it as another user, because PostgreSQL
// refuses to run as root. The error says what to install when it is missing.
func Start(ctx context.Context, opts ...Option) (*Server, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "rollcall-postgres-")
	if err != nil {
		return nil, fmt.Errorf("postgres rig: make a folder: %w", err)
	}
	password := rand.Text()
	if err := initialise(ctx, bin, dir, password); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	// A free port may be taken by somebody else before the server gets it.
	for range 5 {
		var s *Server
		if s, err = launch(ctx, bin, dir, password, o); err == nil {
			return s, nil
		}
		if !errors.Is(err, errPortTaken) {
			break
		}
	}
	return nil, errors.Join(err, os.RemoveAll(dir))
}

// binaries finds the folder with initdb and postgres: on the path, or where
// Debian keeps them, the newest version first.
func binaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if target, err := filepath.EvalSymlinks(path); err == nil {
			path = target
		}
		return filepath.Dir(path), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.New("postgres rig: initdb is not on this machine; install PostgreSQL's server (Debian: apt-get install postgresql, or `make install-tools`)")
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
}

func initialise(ctx context.Context, bin, dir, password string) error {
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte(password+"\n"), 0o600); err != nil {
		return fmt.Errorf("postgres rig: write the password: %w", err)
	}
	if err := giveAway(dir, secret); err != nil {
		return fmt.Errorf("postgres rig: prepare the folder: %w", err)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", filepath.Join(dir, "data"), "-U", "rollcall",
		"-A", "scram-sha-256", "--pwfile", secret, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	cmd.Dir = dir
	asServerUser(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("postgres rig: initdb: %w\n%s", err, out)
	}
	return nil
}

var errPortTaken = errors.New("the port was taken")

func launch(ctx context.Context, bin, dir, password string, o options) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("postgres rig: find a free port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return nil, fmt.Errorf("postgres rig: find a free port: %w", err)
	}
	args := []string{
		"-D", filepath.Join(dir, "data"), "-p", strconv.Itoa(port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "logging_collector=off",
		"-c", "log_destination=stderr", "-c", "lc_messages=C", "-c", "max_connections=200",
	}
	if !o.durable {
		args = append(args, "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	}
	cmd := exec.Command(filepath.Join(bin, "postgres"), args...)
	cmd.Dir = dir
	asServerUser(cmd)
	dieWithUs(cmd)
	log, err := cmd.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("postgres rig: start: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("postgres rig: start: %w", err)
	}
	s := &Server{dir: dir, process: cmd, exited: make(chan struct{})}
	ready, said := make(chan struct{}), make(chan string, 1)
	go func() {
		said <- s.follow(log, ready)
		s.exit = cmd.Wait()
		close(s.exited)
	}()
	dsn := url.URL{
		Scheme: "postgres", User: url.UserPassword("rollcall", password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Path: "/postgres", RawQuery: "sslmode=disable",
	}
	s.DSN = dsn.String()
	select {
	case <-ready:
	case <-s.exited:
		text := <-said
		if strings.Contains(text, "Address already in use") {
			return nil, errPortTaken
		}
		return nil, fmt.Errorf("postgres rig: the server ended at once: %w\n%s", s.exit, text)
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), s.end())
	}
	if s.DSN, err = s.create(ctx, "rollcall", "template0"); err != nil {
		return nil, errors.Join(err, s.end())
	}
	return s, nil
}

// deadlockLines is about how many lines the server says who waited for whom in.
const deadlockLines = 12

// follow reads the log to its end, tells when the server takes connections and
// gives back the last of what it said.
func (s *Server) follow(log io.Reader, ready chan<- struct{}) string {
	var last []string
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	open := false
	for lines.Scan() {
		if !open && strings.Contains(lines.Text(), "ready to accept connections") {
			open = true
			close(ready)
		}
		if n := len(s.deadlock); n > 0 && n < deadlockLines || strings.Contains(lines.Text(), "deadlock detected") {
			s.deadlock = append(s.deadlock, lines.Text())
		}
		last = append(last, lines.Text())
		if len(last) > 40 {
			last = last[1:]
		}
	}
	if _, err := io.Copy(io.Discard, log); err != nil { // behind a line that is too long: a server nobody reads from stands still
		last = append(last, err.Error())
	}
	return strings.Join(last, "\n")
}

// NewDatabase makes an empty database and gives its DSN: one for each test.
func (s *Server) NewDatabase(ctx context.Context) (string, error) {
	return s.create(ctx, s.next(), "template0")
}

// CopyDatabase makes a database with what is in another one, to which nobody may be
// connected, and gives its DSN.
func (s *Server) CopyDatabase(ctx context.Context, from string) (string, error) {
	dsn, err := url.Parse(from)
	if err != nil {
		return "", fmt.Errorf("postgres rig: copy a database: %w", err)
	}
	return s.create(ctx, s.next(), strings.TrimPrefix(dsn.Path, "/"))
}

func (s *Server) next() string {
	s.databases.Lock()
	defer s.databases.Unlock()
	s.made++
	return "test_" + strconv.Itoa(s.made)
}

func (s *Server) create(ctx context.Context, name, template string) (string, error) {
	conn, err := pgx.Connect(ctx, s.DSN)
	if err != nil {
		return "", fmt.Errorf("postgres rig: connect: %w", err)
	}
	_, err = conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" TEMPLATE "+pgx.Identifier{template}.Sanitize())
	if err = errors.Join(err, conn.Close(ctx)); err != nil {
		return "", fmt.Errorf("postgres rig: create database %s: %w", name, err)
	}
	dsn, err := url.Parse(s.DSN)
	if err != nil {
		return "", fmt.Errorf("postgres rig: create database %s: %w", name, err)
	}
	dsn.Path = "/" + name
	return dsn.String(), nil
}

// PID is the server's process, for whoever measures or kills it.
func (s *Server) PID() int { return s.process.Process.Pid }

// Stop ends the server, with connections still open, and removes its folder. It is an
// error when some of its clients ever waited for each other: the server stops one of
// them, which may never have said so.
func (s *Server) Stop() error {
	if err := errors.Join(s.end(), os.RemoveAll(s.dir)); err != nil {
		return fmt.Errorf("postgres rig: stop: %w", err)
	}
	if len(s.deadlock) > 0 {
		return fmt.Errorf("postgres rig: clients waited for each other:\n%s", strings.Join(s.deadlock, "\n"))
	}
	return nil
}

// end asks the server to shut down fast and takes stronger means after ten seconds.
func (s *Server) end() error {
	if err := s.process.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	timer := time.AfterFunc(10*time.Second, func() { _ = s.process.Process.Signal(syscall.SIGQUIT) })
	defer timer.Stop()
	<-s.exited
	return nil
}
