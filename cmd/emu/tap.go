package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"hilnet/emu"
	"hilnet/tap"
	"hilnet/tap/host"
)

func (c *cli) tapCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tap",
		Short: "Create, list and delete TAP interfaces for devices",
		Long: `tap makes TAP interfaces that stay: for a device that runs as a user who may not
make one, and for programs that want one that is there. A run makes the TAPs that
it needs by itself when it may, and takes them away again.`,
		Example: `  sudo emu tap create dut0 --owner $USER
  emu tap list
  sudo emu tap delete dut0`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return usagef("unknown command %q%s; see emu tap --help", args[0], didYouMean(args[0], []string{"create", "list", "delete"}))
		},
	}
	cmd.AddCommand(c.tapCreate(), c.tapList(), c.tapDelete())
	return cmd
}

// tapError is what the machine does not let us do. Of what is there already, or is
// not there, doctor knows nothing.
func tapError(op string, err error) error {
	e := &emu.EnvironmentError{Op: op, Err: err}
	var errno syscall.Errno
	if errors.As(err, &errno) && !errors.Is(err, fs.ErrNotExist) {
		e.Hint = "emu doctor tells what this machine lacks"
	}
	return e
}

// inNetns calls fn with the namespace of that name.
func inNetns(name string, fn func(*host.Namespace) error) error {
	ns, err := host.OpenNamespace(name)
	if err != nil {
		return tapError("open the network namespace", err)
	}
	return errors.Join(fn(ns), ns.Close())
}

func addNetns(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "netns", "", "network `NAMESPACE` that it is in, as in ip netns; default: this one")
}

func (c *cli) tapCreate() *cobra.Command {
	var owner, bridge, netns string
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a TAP that stays, and set it up",
		Long: `create makes a TAP with one queue and no header of its own, as QEMU, lwIP, RIOT and
Zephyr expect it, switches IPv6 off on it, so that the kernel sends nothing of its
own accord, and sets it up. Only its owner may open it without further rights.`,
		Example: `  sudo emu tap create dut0 --owner $USER
  sudo emu tap create dut1 --bridge br0 --netns lab`,
		Args: arguments(1, 1, "the name of the TAP"),
		RunE: func(_ *cobra.Command, args []string) error {
			id := -1
			for _, name := range []string{args[0], bridge} {
				if err := tap.CheckName(name); name != "" && err != nil {
					return usagef("%s", strings.TrimPrefix(err.Error(), "tap: "))
				}
			}
			if owner != "" {
				var err error
				if id, err = userID(owner); err != nil {
					return err
				}
			}
			return inNetns(netns, func(ns *host.Namespace) error {
				if err := host.CreateTAP(ns, args[0], id, bridge); err != nil {
					return tapError("create the TAP", err)
				}
				fmt.Fprintf(c.stdout, "%s is there and up\n", args[0])
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&owner, "owner", "", "`USER` who may open it, by name or number; default: only who may change the network")
	cmd.Flags().StringVar(&bridge, "bridge", "", "`BRIDGE` to put it into; it is made when it does not exist")
	addNetns(cmd, &netns)
	return cmd
}

// userID returns the number of a user.
func userID(name string) (int, error) {
	if id, err := strconv.Atoi(name); err == nil && id >= 0 {
		return id, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, usagef("--owner %s: there is no such user", name)
	}
	return strconv.Atoi(u.Uid)
}

func (c *cli) tapList() *cobra.Command {
	var netns string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the TAP interfaces of this machine",
		Example: `  emu tap list --json | jq '.[].name'`,
		Args:    arguments(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			return inNetns(netns, func(ns *host.Namespace) error {
				all, err := host.ListTAPs(ns)
				if err != nil {
					return tapError("list the TAPs", err)
				}
				return c.showTAPs(all, asJSON)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print them as JSON")
	addNetns(cmd, &netns)
	return cmd
}

// A listedTAP is a TAP in JSON.
type listedTAP struct {
	Name      string   `json:"name"`
	Owner     *int     `json:"owner,omitempty"`
	Bridge    string   `json:"bridge,omitempty"`
	Up        bool     `json:"up"`
	InUse     bool     `json:"in_use"`
	Addresses []string `json:"addresses"`
}

func (c *cli) showTAPs(all []host.TAPInfo, asJSON bool) error {
	list := make([]listedTAP, 0, len(all))
	t := table{{"name", "owner", "bridge", "up", "in use", "addresses"}}
	for _, i := range all {
		one := listedTAP{Name: i.Name, Bridge: i.Bridge, Up: i.Up, InUse: i.InUse, Addresses: append([]string{}, i.Addrs...)}
		owner := "-"
		if i.Owner >= 0 {
			one.Owner, owner = &i.Owner, strconv.Itoa(i.Owner)
			if u, err := user.LookupId(owner); err == nil {
				owner = u.Username
			}
		}
		list = append(list, one)
		yes := map[bool]string{true: "yes", false: "no"}
		t = append(t, []string{i.Name, owner, orDash(i.Bridge), yes[i.Up], yes[i.InUse], orDash(strings.Join(i.Addrs, " "))})
	}
	if asJSON {
		e := json.NewEncoder(c.stdout)
		e.SetIndent("", "  ")
		return e.Encode(list)
	}
	if len(list) == 0 {
		fmt.Fprintln(c.stdout, "there is no TAP")
		return nil
	}
	t.write(c.stdout, func(_ int, _, padded string) string { return padded })
	return nil
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (c *cli) tapDelete() *cobra.Command {
	var netns string
	cmd := &cobra.Command{
		Use:   "delete NAME…",
		Short: "Delete TAP interfaces",
		Long: `delete deletes TAPs that no program has open. Interfaces of another kind stay, and so
does a bridge that a TAP was in.`,
		Example: `  sudo emu tap delete dut0 dut1`,
		Args:    arguments(1, -1, "the names of TAPs"),
		RunE: func(_ *cobra.Command, args []string) error {
			return inNetns(netns, func(ns *host.Namespace) error {
				for _, name := range args {
					if err := host.DeleteTAP(ns, name); err != nil {
						return tapError("delete the TAP", err)
					}
					fmt.Fprintf(c.stdout, "%s is deleted\n", name)
				}
				return nil
			})
		},
	}
	addNetns(cmd, &netns)
	return cmd
}

func (c *cli) doctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine lacks for real devices, and what mends it",
		Long: `doctor tries what devices of kind tap, socket and board need of this machine, and
names the command that mends what is missing. It first takes away what runs that
were killed have left behind. It ends with 3 when a device of kind tap could not
run; programs that only some recipes need do not count. A device of kind socket
needs nothing but its emulator.`,
		Example: `  emu doctor
  unshare -rn emu doctor`,
		Args: arguments(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			cleaned, err := host.CleanUp()
			if err != nil {
				return tapError("clean up behind runs that were killed", err)
			}
			return c.showChecks(host.Examine(), cleaned, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return cmd
}

// A doctorCheck is a check in JSON.
type doctorCheck struct {
	Name   string `json:"name"`
	For    string `json:"for"`
	OK     bool   `json:"ok"`
	Needed bool   `json:"needed"`
	Text   string `json:"text"`
	Fix    string `json:"fix,omitempty"`
}

func (c *cli) showChecks(all []host.Check, cleaned []string, asJSON bool) error {
	list := make([]doctorCheck, 0, len(all))
	p := newPalette(c.stdout)
	for _, k := range all {
		list = append(list, doctorCheck{k.Name, k.For, k.OK, !k.Extra, k.Text, k.Fix})
		if !k.OK && !k.Extra {
			c.code = exitEnvironment
		}
	}
	if asJSON {
		e := json.NewEncoder(c.stdout)
		e.SetIndent("", "  ")
		return e.Encode(map[string]any{"checks": list, "cleaned": append([]string{}, cleaned...)})
	}
	for _, text := range cleaned {
		fmt.Fprintf(c.stdout, "cleaned  a run that was killed had left something: %s\n", text)
	}
	for _, k := range all {
		word := p.good("ok     ")
		switch {
		case !k.OK && k.Extra:
			word = p.odd("absent ")
		case !k.OK:
			word = p.bad("missing")
		}
		fmt.Fprintf(c.stdout, "%s  %-20s  %s\n", word, k.Name, k.Text)
		if !k.OK {
			fmt.Fprintf(c.stdout, "         for %s: %s\n", k.For, k.Fix)
		}
	}
	return nil
}
