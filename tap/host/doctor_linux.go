package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// Examine looks at what this machine has of what real devices need. It changes
// nothing but what it undoes at once.
func Examine() []Check {
	all := []Check{checkTUN(), checkNamespace()}
	all = append(all, checkMaking(all[1].OK)...)
	all = append(all, checkUserNamespaces(all[1].OK))
	for _, p := range programs {
		c := Check{Name: p.name, For: p.need, Extra: true}
		if path, err := exec.LookPath(p.name); err == nil {
			c.OK, c.Text = true, path
		} else {
			c.Text, c.Fix = "it is not on the PATH", "sudo apt-get install "+p.pack
		}
		all = append(all, c)
	}
	return all
}

func checkTUN() Check {
	c := Check{Name: "/dev/net/tun", For: "devices of kind tap and board, and brokers of kind tap"}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	switch {
	case err == nil:
		_ = unix.Close(fd) // it was only looked at
		c.OK, c.Text = true, "it opens"
	case errors.Is(err, fs.ErrNotExist):
		c.Text, c.Fix = "it is not there", "sudo modprobe tun; in a container: start it with --device /dev/net/tun"
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		c.Text, c.Fix = "the kernel has no driver for it", "sudo modprobe tun"
	case errors.Is(err, fs.ErrPermission):
		c.Text, c.Fix = "this user may not open it", "sudo chmod 666 /dev/net/tun, as most systems have it"
	default:
		c.Text, c.Fix = err.Error(), "sudo modprobe tun"
	}
	return c
}

func checkNamespace() Check {
	c := Check{Name: "network namespaces", For: "tap: {netns: private}"}
	ns, err := NewNamespace()
	if err == nil {
		c.OK, c.Text = true, "this process may make them"
		_ = ns.Close() // it was only looked at
		return c
	}
	c.Text, c.Fix = "this process may not make them", "run emu with sudo, or as: unshare -rn emu …"
	return c
}

// checkMaking tries a TAP and a bridge in a namespace of their own, or, where there
// can be none, asks for the right.
func checkMaking(namespaces bool) []Check {
	tap := Check{Name: "making a TAP", For: "devices of kind tap and board, and brokers of kind tap"}
	bridge := Check{Name: "making a bridge", For: "tap: {side: descriptor}, and devices of kind board"}
	const next = "run emu with sudo, or as: unshare -rn emu …; or make TAPs once: sudo emu tap create dut0 --owner $USER"
	if !namespaces {
		tap.Text, tap.Fix = "this process may not change the network", next
		bridge.Text, bridge.Fix = tap.Text, "run emu with sudo, or as: unshare -rn emu …"
		return []Check{tap, bridge}
	}
	ns, err := NewNamespace()
	if err != nil {
		tap.Text, tap.Fix, bridge.Text, bridge.Fix = err.Error(), next, err.Error(), next
		return []Check{tap, bridge}
	}
	defer ns.Close()
	if err := CreateTAP(ns, "dut0", -1, ""); errors.Is(err, unix.EACCES) {
		tap.Text, tap.Fix = "not possible without /dev/net/tun", "what is said of /dev/net/tun above"
	} else if err != nil {
		tap.Text, tap.Fix = err.Error(), next
	} else {
		tap.OK, tap.Text = true, "done and undone"
	}
	if err := CreateTAP(ns, "dut1", -1, "br0"); err != nil && tap.OK {
		bridge.Text, bridge.Fix = err.Error(), "sudo modprobe bridge"
	} else if err != nil {
		bridge.Text, bridge.Fix = "not tried without a TAP", tap.Fix
	} else {
		bridge.OK, bridge.Text = true, "done and undone"
	}
	return []Check{tap, bridge}
}

// checkUserNamespaces says whether unshare -rn works, which is all that who is not
// root needs.
func checkUserNamespaces(already bool) Check {
	c := Check{Name: "unshare -rn", For: "TAPs without sudo", Extra: already}
	out, err := exec.Command("unshare", "-rn", "true").CombinedOutput()
	switch {
	case err == nil:
		c.OK, c.Text = true, "it works"
	case errors.Is(err, exec.ErrNotFound):
		c.Text, c.Fix = "it is not on the PATH", "sudo apt-get install util-linux"
	default:
		line, _, _ := strings.Cut(string(out), "\n")
		c.Text, c.Fix = fmt.Sprintf("it does not work: %s", line), "sudo sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0, those of the two that there are"
	}
	return c
}
