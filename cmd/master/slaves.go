package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

func newSlaves() *cobra.Command {
	list := newSlavesList()
	cmd := &cobra.Command{
		Use:     "slaves",
		Short:   "List the slaves, and tell them what to do",
		Long:    "slaves lists who is enrolled, as slaves list does; its commands tell one slave what to do.",
		Example: "  master slaves\n  master slaves pause pi-01",
		RunE:    list.RunE,
	}
	// The same flags, bound to the same variables: the command is the list.
	cmd.Flags().AddFlagSet(list.Flags())
	cmd.AddCommand(list, newSlavesPause(), newSlavesResume(), newSlavesAbort(), newSlavesQuit())
	return cmd
}

func newSlavesList() *cobra.Command {
	return newListing(&cobra.Command{
		Use:   "list",
		Short: "List who is enrolled, and what they do",
		Long: `list shows every name that was enrolled, the revoked too, the version of its program,
when it was last heard, and what it does.`,
		Example: "  master slaves list --json",
	}, listing[store.SlaveRow]{
		Key:  "slaves",
		Rows: func(ctx context.Context, st *store.Store) ([]store.SlaveRow, error) { return st.Slaves(ctx) },
		Head: []string{"NAME", "ROLE", "STATE", "VERSION", "LAST SEEN", "DOING"},
		Line: func(s store.SlaveRow) []string {
			doing := slaveDoing(s)
			if doing == slaveState(s) { // that is said
				doing = dash("")
			}
			return []string{s.Name, string(s.Role), slaveState(s), dash(s.Version), ago(s.LastSeen), doing}
		},
	})
}

func slaveState(s store.SlaveRow) string {
	switch {
	case s.Revoked:
		return "revoked"
	case s.Paused:
		return "paused"
	case s.Pulse.Unfit != "":
		return "unfit" // why stands in what it does
	}
	return "enrolled"
}

// slaveDoing is what it does, or why nothing.
func slaveDoing(s store.SlaveRow) string {
	var parts []string
	if s.Doing != "" {
		parts = append(parts, s.Doing)
	}
	if s.Paused && !s.Revoked {
		parts = append(parts, strings.TrimSuffix("paused: "+s.PausedWhy, ": "))
	}
	return dash(strings.Join(parts, "; "))
}

func newSlavesPause() *cobra.Command {
	var why string
	cmd := slaveOrder("pause", "Give a slave no further job", `pause gives NAME no further job from now on, through restarts of master and slave, until
resume. What it builds it finishes. The reason is shown to all who look at slaves.`,
		func(ctx context.Context, h *home, name string) (string, error) {
			return name + " is paused", h.Store.PauseSlave(ctx, name, why, actor())
		})
	cmd.Flags().StringVar(&why, "reason", "", "why, for all who look")
	cmd.PreRunE = func(*cobra.Command, []string) error { return checkReason(why) }
	return cmd
}

func newSlavesResume() *cobra.Command {
	return slaveOrder("resume", "End a slave's pause", `resume ends a pause, a person's or the farm's own after too many faults in a row: NAME
gets jobs again.`,
		func(ctx context.Context, h *home, name string) (string, error) {
			return name + " gets jobs again", h.Store.ResumeSlave(ctx, name, actor())
		})
}

func newSlavesAbort() *cobra.Command {
	return slaveOrder("abort", "End the build that a slave does now", `abort ends the build that NAME does now. The job goes back to the queue, and the next who
asks gets it: pause NAME first if that must not be NAME again.`,
		func(ctx context.Context, h *home, name string) (string, error) {
			f, ok, err := h.Store.AbortSlave(ctx, name, actor())
			if err == nil && !ok {
				err = fmt.Errorf("%s builds nothing now", name)
			}
			return fmt.Sprintf("%s %s %s: queued", f.Package, f.Version, f.Target), err
		})
}

func newSlavesQuit() *cobra.Command {
	return slaveOrder("quit", "Let a slave finish, and end", `quit asks NAME to take no further job and to end when what it builds is reported. It is not
remembered: a slave that is started again takes jobs again.`,
		func(ctx context.Context, h *home, name string) (string, error) {
			return name + " was told to end", h.Store.QuitSlave(ctx, name, actor())
		})
}

// slaveOrder makes the command that says one word to one slave.
func slaveOrder(word, short, long string, do func(ctx context.Context, h *home, name string) (said string, err error)) *cobra.Command {
	var set settings
	var asJSON bool
	cmd := &cobra.Command{
		Use:     word + " NAME",
		Short:   short,
		Long:    long,
		Example: "  master slaves " + word + " pi-01",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			if err := farm.CheckSlaveName(name); err != nil {
				return cli.Usage("%w", err)
			}
			return visit(cmd, set, func(ctx context.Context, h *home, _ zerolog.Logger) error {
				said, err := do(ctx, h, name)
				if err != nil {
					return unknownSlave(err, name)
				}
				if asJSON {
					return cli.JSON(cmd.OutOrStdout(), map[string]any{"schema": 1, "slave": name, "order": word, "said": said})
				}
				err = cli.Say(cmd.OutOrStdout(), "%s", said)
				return err
			})
		},
	}
	set.stateFlag(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
