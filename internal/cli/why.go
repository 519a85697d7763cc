package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/event"
)

func (r *root) why() *cobra.Command {
	return &cobra.Command{
		Use: "why CONNECTION WHO", Short: "Is this person in, and through which step did they get in or fall out",
		Long: `WHO is a name, DN, username, e-mail address or external ID, as the directory has it or
as the rules make it, or a former username or address. People who were not read, or are
no longer, are looked for in the directory itself.`,
		Args: args(2, "the alias of a connection, and whom to explain"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.at(cmd.Context(), func(a place) error {
				list, err := a.Why(cmd.Context(), words[0], words[1])
				if err != nil {
					return err
				}
				if r.output == "json" {
					return r.json(list)
				}
				groups, err := groupNames(cmd.Context(), a)
				if err != nil {
					return err
				}
				for i, w := range list {
					if i > 0 {
						fmt.Fprintln(r.Out)
					}
					r.paragraph("", w.Answer)
					for _, s := range w.Steps {
						mark := " "
						if s.Holds != nil {
							mark = map[bool]string{true: "+", false: "-"}[*s.Holds]
						}
						r.paragraph(fmt.Sprintf("  %s %-13s ", mark, flat(s.Step)), s.Detail)
					}
					for _, e := range w.History {
						r.paragraph(fmt.Sprintf("    %s  %-18s  ", stamp(e.At), e.Type), reason(&e, groups))
					}
				}
				return nil
			})
		},
	}
}

// reason is why something happened, with the group it happened in. A reason names a
// group itself that was deleted since.
func reason(e *event.Event, groups map[account.ID]string) string {
	if e.Group == nil || strings.HasPrefix(e.Why, engine.OfDeletedGroup) {
		return e.Why
	}
	name := groups[*e.Group]
	if name == "" {
		name = e.Group.String()
	}
	return name + ": " + e.Why
}
