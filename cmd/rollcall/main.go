// Command rollcall keeps an application's accounts in step with the directories
// of the organizations that use it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"rollcall.dev/rollcall/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // who asks a second time is not asked to wait
	code := cli.Run(ctx, cli.Words(os.Args), cli.IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: os.LookupEnv})
	stop()
	os.Exit(code)
}
