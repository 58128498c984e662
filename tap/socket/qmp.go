package socket

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"
)

// Reading list: QEMU docs/interop/qmp-spec.rst; qapi/net.json, set_link.

// maxQMP bounds a line of the monitor, in bytes.
const maxQMP = 1 << 20

// pollQMP is how often a monitor is looked for that is not there yet.
const pollQMP = 20 * time.Millisecond

// SetLink pulls (up false) or plugs the cable of a NIC inside QEMU: its guest
// sees the carrier go. path is the socket of QEMU's monitor, as in -qmp
// unix:PATH,server=on,wait=off; device is the id of the -netdev or the -device.
// It waits for a monitor that is not there yet as long as ctx lets it.
func SetLink(ctx context.Context, path, device string, up bool) error {
	if err := setLink(ctx, path, device, up); err != nil {
		return fmt.Errorf("socket: set_link by the monitor at %s: %w", path, err)
	}
	return nil
}

func setLink(ctx context.Context, path, device string, up bool) error {
	conn, err := dialQMP(ctx, path)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	defer conn.Close()
	r := bufio.NewScanner(conn)
	r.Buffer(nil, maxQMP)
	if !r.Scan() {
		return errors.Join(errors.New("the monitor says nothing"), r.Err())
	}
	var greeting struct {
		QMP json.RawMessage
	}
	if err := json.Unmarshal(r.Bytes(), &greeting); err != nil || greeting.QMP == nil {
		return fmt.Errorf("what is there is no QMP monitor: it says %.80q", r.Bytes())
	}
	if err := command(conn, r, map[string]any{"execute": "qmp_capabilities"}); err != nil {
		return err
	}
	return command(conn, r, map[string]any{
		"execute": "set_link", "arguments": map[string]any{"name": device, "up": up},
	})
}

func dialQMP(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "unix", path)
		if err == nil {
			return conn, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w; start QEMU with -qmp unix:%s,server=on,wait=off", err, path)
		case <-time.After(pollQMP):
		}
	}
}

// command does one command and reads until its answer; events come between.
func command(conn net.Conn, r *bufio.Scanner, what map[string]any) error {
	line, err := json.Marshal(what)
	if err != nil {
		return err
	}
	if _, err := conn.Write(append(line, '\n')); err != nil {
		return err
	}
	for r.Scan() {
		var answer struct {
			Return json.RawMessage `json:"return"`
			Error  *struct {
				Class, Desc string
			} `json:"error"`
		}
		if err := json.Unmarshal(r.Bytes(), &answer); err != nil {
			return fmt.Errorf("what is there is no QMP monitor: it says %.80q", r.Bytes())
		}
		switch {
		case answer.Error != nil:
			return fmt.Errorf("%s: %s", what["execute"], answer.Error.Desc)
		case answer.Return != nil:
			return nil
		}
	}
	return errors.Join(fmt.Errorf("no answer to %s", what["execute"]), r.Err())
}
