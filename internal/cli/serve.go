package cli

import (
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/internal/app"
)

func (r *root) serve() *cobra.Command {
	return &cobra.Command{
		Use: "serve", Short: "Run the server: schedules, REST API, webhooks",
		Long: `Answers requests at "listen", runs connections when they are due, and delivers
events. Any number of them may share a PostgreSQL database.

SIGTERM and Ctrl-C drain: nothing new is begun, what goes on may end. SIGHUP reads
the configuration anew.`, Args: args(0, "no words"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.open(cmd.Context(), func(a *app.App) error {
				reload := make(chan os.Signal, 1)
				if len(hangup) > 0 {
					signal.Notify(reload, hangup...)
					defer signal.Stop(reload)
				}
				return a.Serve(cmd.Context(), thisVersion().Version, r.Err, reload, r.Env, func(address string) {
					fmt.Fprintf(r.Out, "Rollcall serves at %s (listening on %s).\n", a.Config.PublicURL, address)
					r.firstLink(cmd.Context(), a, address)
				})
			})
		},
	}
}
