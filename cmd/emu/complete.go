package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"hilnet/scenarios"
)

func (c *cli) completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish"}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print a script that completes commands in a shell",
		Long: `completion prints a script that makes a shell complete emu's commands, flags, keys
behind --set and the names of built-in scenarios.`,
		Example: `  source <(emu completion bash)
  emu completion zsh > "${fpath[1]}/_emu"
  emu completion fish > ~/.config/fish/completions/emu.fish`,
		Args:              arguments(1, 1, "the name of a shell: bash, zsh or fish"),
		ValidArgsFunction: cobra.FixedCompletions(shells, cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(c.stdout, true)
			case "zsh":
				return root.GenZshCompletion(c.stdout)
			case "fish":
				return root.GenFishCompletion(c.stdout, true)
			}
			return usagef("no completion for the shell %q%s; there are bash, zsh and fish", args[0], didYouMean(args[0], shells))
		},
	}
}

// completeScenarios offers the built-in scenarios and files.
func completeScenarios(_ *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	var all []string
	for _, e := range scenarios.Library() {
		if strings.HasPrefix(e.Name, word) && !contains(args, e.Name) {
			all = append(all, e.Name+"\t"+e.Summary)
		}
	}
	return all, cobra.ShellCompDirectiveDefault
}

func contains(list []string, s string) bool {
	for _, have := range list {
		if have == s {
			return true
		}
	}
	return false
}

// completeSet offers keys whose path needs no index but that of the only device
// or link.
func completeSet(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	var all []string
	for _, k := range scenarios.Keys() {
		if k.Alternative == "" || strings.Count(k.Path, "[]") > 1 || strings.HasPrefix(k.Path, "timeline") || strings.HasPrefix(k.Path, "expect") {
			continue
		}
		key := strings.NewReplacer("devices[]", "device", "links[]", "link").Replace(k.Path)
		if strings.HasPrefix(key, word) {
			all = append(all, fmt.Sprintf("%s=\tsuch as %s", key, k.Alternative))
		}
	}
	return all, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
}

// addSet adds the flag --set.
func addSet(cmd *cobra.Command, sets *[]string) {
	cmd.Flags().StringArrayVar(sets, "set", nil, "`KEY=VALUE` gives a key of the scenario another value, such as pool.packets=8 or link.loss=5%; may be repeated")
	complete(cmd, "set", completeSet)
}

// addProgress adds the flag --progress.
func addProgress(cmd *cobra.Command, mode *string) {
	cmd.Flags().StringVar(mode, "progress", progressAuto, "how to show progress on standard error: auto (a line on a terminal, lines now and then elsewhere), plain, json or none")
	complete(cmd, "progress", cobra.FixedCompletions(progressModes, cobra.ShellCompDirectiveNoFileComp))
}

func complete(cmd *cobra.Command, flag string, fn cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, fn); err != nil {
		panic("emu: " + err.Error()) // the flag was added a line before
	}
}
